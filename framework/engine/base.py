"""The interface of an engine: the experiment that it runs and the result that it returns."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from framework.core.client import Client
from framework.core.message import NodeId
from framework.core.node import Node
from framework.core.plugin_choice import chosen_classes
from framework.core.status import Status
from framework.core.tracebacks import blaming, check_initialized, plugin_gave
from framework.engine.tally import Tally
from framework.faults.ledger import LedgerEntry
from framework.faults.plan import FaultKinds, FaultPlan
from framework.load.workload import Workload, finishing_time
from framework.network.model import NetworkModel
from framework.registry.specs import (
    SERVICE,
    FaultSpec,
    NetworkSpec,
    ProtocolSpec,
    WorkloadSpec,
    WrappedClientConfig,
)
from framework.replication.administration import ADMINISTRATOR, Administrator
from framework.replication.state_machine import StateMachineChoice

if TYPE_CHECKING:
    from framework.checking.convergence import Settled
    from framework.checking.monitors import Watch

TraceLevel = Literal["full", "history", "none"]


@dataclass(frozen=True)
class EndpointSpec:
    """The class of a node or client and its config, the nodes that it knows, the run's roles, and whether it is a
    spare. `plugin`: the plugin whose node it is, if that is not the protocol: `workload=lock`."""

    node_class: type[Node]
    peers: tuple[NodeId, ...]
    config: Any = None
    roles: Mapping[str, tuple[NodeId, ...]] = field(default_factory=dict)
    spare: bool = False
    plugin: str = ""

    @property
    def is_durable(self) -> bool:
        """True if the node, or one that it may mount, may have durable fields. A client has no disk."""
        may_mount = self.node_class.mounts or chosen_classes(self.config)
        return not issubclass(self.node_class, Client) and bool(self.node_class._declared or may_mount)


class FinalPhase(NamedTuple):
    """The final phase's delay after the load (and after settling), and its longest duration; nanoseconds."""

    after: int
    limit: int


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One run, resolved: every spec with its validated config. Can be pickled. Times are nanoseconds."""

    name: str
    seed: int
    nodes: tuple[NodeId, ...]
    clients: tuple[NodeId, ...]
    duration: int
    warmup: int
    protocol: ProtocolSpec
    protocol_config: Any  # already holds a StateMachineChoice, if the protocol replicates
    workload: WorkloadSpec
    workload_config: Any
    network: NetworkSpec
    network_config: Any
    faults: tuple[tuple[str, FaultSpec, Any], ...]  # each with its key in the config
    engine_config: Any
    scheduling_config: Any
    trace: TraceLevel
    run_dir: Path
    plugin_paths: tuple[str, ...] = ()
    fault_kinds: FaultKinds = field(default_factory=FaultKinds)
    quiet: int = 0  # with faults: time before `duration` at which everything is healed
    settle: int = 0  # limit for replicas to become equal after the last operation; 0: not compared
    spares: tuple[NodeId, ...] = ()  # the `nodes` on standby until a fault or an administrator boots them
    roles: Mapping[str, tuple[NodeId, ...]] = field(default_factory=dict)  # of the nodes, and of the workload's service

    @property
    def members(self) -> tuple[NodeId, ...]:
        """The nodes that the run starts with."""
        return tuple(node for node in self.nodes if node not in self.spares)

    @property
    def administrator(self) -> NodeId:
        """The client that asks for administrative operations on behalf of faults; "" if none may."""
        return ADMINISTRATOR if self.faults and self.protocol.administration else ""

    @property
    def callers(self) -> tuple[NodeId, ...]:
        """The clients, and the administrator after them if there is one."""
        return (*self.clients, self.administrator) if self.administrator else self.clients

    @property
    def services(self) -> tuple[NodeId, ...]:
        """The node that the workload adds, if it adds one."""
        return self.roles.get(SERVICE, ())

    @property
    def servers(self) -> tuple[NodeId, ...]:
        """The nodes of the protocol, and the workload's service."""
        return (*self.nodes, *self.services)

    @property
    def others(self) -> tuple[NodeId, ...]:
        """The workload's service and the clients."""
        return (*self.services, *self.clients)

    @property
    def endpoints(self) -> tuple[NodeId, ...]:
        """All nodes and clients, in the order of their indices in traces and frames."""
        return (*self.servers, *self.callers)

    def endpoint(self, name: NodeId) -> EndpointSpec:
        """The class of an endpoint, and the nodes that it knows."""
        config, roles, workload = self.protocol_config, self.roles, self.workload
        if name in self.nodes:
            peers = tuple(node for node in self.members if node != name)
            return EndpointSpec(self.node_class(name), peers, config, roles, name in self.spares)
        if name in self.services:
            assert workload.service is not None
            return EndpointSpec(workload.service, (), self.workload_config, roles, plugin=f"workload={workload.name}")
        if name == self.administrator:
            return EndpointSpec(Administrator, self.nodes, config, roles)
        if workload.client is not None:
            choice = self.protocol.choice(config)
            wrapped = WrappedClientConfig(choice, self.workload_config, self.operations)
            return EndpointSpec(workload.client, self.nodes, wrapped, roles)
        return EndpointSpec(self.protocol.client, self.nodes, config, roles)

    @property
    def operations(self) -> tuple[str, ...]:
        """The functions that the protocol's clients perform."""
        return self.protocol.offered(None if self.state_machine is None else self.state_machine.machine)

    @property
    def state_machine(self) -> StateMachineChoice | None:
        """The state machine that the protocol replicates; None if it replicates none."""
        machine: StateMachineChoice | None = getattr(self.protocol_config, "state_machine", None)
        return machine

    def node_class(self, name: NodeId) -> type[Node]:
        """The class of a node, by its role if the protocol has roles."""
        for role, (node_class, _) in self.protocol.roles.items():
            if name in self.roles.get(role, ()):
                return node_class
        return self.protocol.node

    @property
    def watched(self) -> tuple[NodeId, ...]:
        """The endpoints that the protocol's invariants watch: the nodes, and the clients if one watches their class."""
        invariants = self.protocol.invariants
        clients = (self.protocol.client, *((self.workload.client,) if self.workload.client is not None else ()))
        watched = any(issubclass(client, each.watches) for each in invariants for client in clients)
        return (*self.nodes, *(self.clients if watched else ()))

    def make_workload(self) -> Workload:
        """Makes the workload, which knows the nodes by role."""
        workload = self.workload.workload(self.workload_config)
        check_initialized(workload, "config", f"workload={self.workload.name}")
        workload.roles = self.roles
        return workload

    @property
    def load_over_at(self) -> int:
        """The time at which all operations of the load have ended, at the latest."""
        finishing = finishing_time(self.workload.workload, self.workload_config)
        return self.duration + finishing + int(self.workload_config.timeout)

    @property
    def final_phase(self) -> FinalPhase | None:
        """The final phase of the workload; None if it has none."""
        if self.workload.workload.final is Workload.final:
            return None
        return FinalPhase(int(self.workload_config.final_after), int(self.workload_config.final_time))

    def make_network(self) -> NetworkModel:
        return self.network.model(self.network_config, self.servers, self.callers)

    def make_fault_plans(self) -> list[tuple[str, FaultPlan]]:
        return [
            (name, spec.make_plan(config, self.fault_kinds, self.members, self.spares))
            for name, spec, config in self.faults
        ]


def asked_settled(protocol: ProtocolSpec, nodes: Mapping[NodeId, Node]) -> str:
    """Returns why the protocol has not finished what it promises, given the nodes that run; "" if it has, or does not
    say. Raises PluginFailed if its `settled` raises, or returns anything but a text or None."""
    if protocol.settled is None:
        return ""
    where = f"protocol={protocol.name}"
    with blaming(where, "settled", protocol.settled):
        reason = protocol.settled(nodes)
    if reason is not None and not (isinstance(reason, str) and reason):
        raise plugin_gave(where, "settled", reason, "the reason as a text, or None", protocol.settled)
    return reason or ""


@dataclass(frozen=True)
class NodeCrash:
    """A node that stopped: because of a fault (`asked`), an exception of its own (`traceback`), or for another reason.

    `storage`: its storage failed. `restarted`: it was started again before the run ended.
    """

    node: NodeId
    time: int
    why: str
    traceback: str = ""
    asked: bool = False
    storage: bool = False
    restarted: bool = False


def with_restarts(crashes: Iterable[NodeCrash], up: Container[NodeId]) -> tuple[NodeCrash, ...]:
    """Returns the crashes by time, each marked if a restart followed it. `up`: the nodes that run at the end.

    A node that crashes again must have been restarted in between.
    """
    ordered = sorted(crashes, key=lambda crash: crash.time)
    last = {crash.node: number for number, crash in enumerate(ordered)}
    return tuple(
        replace(crash, restarted=crash.node in up or last[crash.node] != number) for number, crash in enumerate(ordered)
    )


@dataclass(frozen=True)
class Waiting:
    """An operation open since the time `since`. `at`: the nodes whose answers its client awaits, if it reports them."""

    client: NodeId
    function: str
    key: str | None
    since: int
    at: tuple[NodeId, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """The system when the load ended, after the faults.

    `statuses` has every server that has run, None if it is down. `for_good`: the servers that no restart can bring
    back; `damaged`: the ones among them with a damaged disk. `can_serve`: whether the running servers are enough for
    the protocol; None if it does not say. `waiting`: the oldest of the `open` operations.
    """

    statuses: Mapping[NodeId, Status | None]
    for_good: frozenset[NodeId] = frozenset()
    damaged: frozenset[NodeId] = frozenset()
    can_serve: bool | None = None
    waiting: tuple[Waiting, ...] = ()
    open: int = 0

    @property
    def down(self) -> tuple[NodeId, ...]:
        return tuple(node for node, status in self.statuses.items() if status is None)

    @property
    def running(self) -> tuple[NodeId, ...]:
        return tuple(node for node, status in self.statuses.items() if status is not None)


OLDEST = 3
"""Number of open operations that an `Aftermath` names."""


def agreed(answers: Iterable[bool | None]) -> bool | None:
    """Returns True if all answers other than None are true; None if there are none."""
    said = [answer for answer in answers if answer is not None]
    return all(said) if said else None


@dataclass(frozen=True, kw_only=True)
class EngineResult:
    """The result of a run. `wall_s`: the engine's loop with trace writes. `virtual_s`: time on the nodes' clocks."""

    tally: Tally
    crashes: tuple[NodeCrash, ...]
    wall_s: float
    virtual_s: float
    measured_s: float  # the span that `tally.measured` counts: from the end of the warm-up to the end of the load
    digest: str | None
    interrupted: bool = False
    failure: str = ""  # the reason why the run could not go on, in one line
    stalled: bool = False  # it failed because its time stood still: a history of any length, all at one time
    ledger: tuple[LedgerEntry, ...] = ()  # the actual effects of each fault
    aftermath: Aftermath | None = None  # of the faults, when the load ended; None: they had not been undone
    watch: Watch | None = None  # the outcome of the protocol's invariants; None: not checked
    settled: Settled | None = None  # the replicas at the end; None: the run did not wait for them
    final_at: int | None = None  # start of the workload's final phase; None: it did not begin
    details: dict[str, Any] = field(default_factory=dict)  # clock error bound, machines, anything else from the engine


Progress = Callable[[int, Tally], None]
"""Called about ten times a second with the run's time (nanoseconds) and the tally. Before and after the run, called
once for each stage with an empty tally that names the `stage`."""


class Engine(Protocol):
    """Runs an experiment: writes its trace and history into `experiment.run_dir` and returns its result.

    A KeyboardInterrupt ends the run cleanly: files are closed, nothing is left running, `interrupted` is set.
    """

    def run(self, experiment: Experiment, progress: Progress) -> EngineResult: ...
