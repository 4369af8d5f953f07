"""Specs of plugins: one typed spec for each kind, returned by its hook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from framework.balancing.balancer import Balancer, BalancerChoice, BalancerConfig
from framework.checking.invariants import Invariant
from framework.core.client import Client
from framework.core.message import Config, NodeId
from framework.core.node import Node
from framework.core.plugin_choice import ProtocolChoice
from framework.core.tracebacks import blaming, check_initialized
from framework.faults.fault import Fault, FaultConfig
from framework.faults.plan import FaultKinds, FaultPlan, PeriodicPlan
from framework.load.workload import Workload, WorkloadConfig
from framework.network.model import NetworkModel
from framework.placement.placement import Placement, PlacementChoice, PlacementConfig
from framework.replication.state_machine import StateMachine, StateMachineChoice

if TYPE_CHECKING:
    from framework.checking.finished_run import FinishedRun
    from framework.checking.models.catalog import Models
    from framework.checking.models.model import Model
    from framework.checking.verdict import CheckResult


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Base of all specs: a name that users type, a one-line summary, and a config class with its defaults."""

    name: str
    summary: str
    config: type[Config] | None = None


@dataclass(frozen=True)
class Sometimes:
    """A situation that some runs should reach, as a measure of their coverage: `note` is noted `at_least` times."""

    name: str
    note: str
    at_least: int = 1


SERVICE = "service"
"""The role of the node that a workload adds to a run."""

Role: TypeAlias = tuple[type[Node], int | Callable[[Any], int] | None]
"""The class of a role's nodes, and their number: an int, a function of the protocol's config, or None for all
others."""


Assumption: TypeAlias = Literal["reliable", "fifo", "no_crash"]
"""What a protocol takes for granted: each message arrives, once; messages from one node to another arrive in the order
in which they were sent; no node and no client crashes."""


@dataclass(frozen=True, kw_only=True)
class ProtocolSpec(Spec):
    """A protocol: the class of its nodes and of its clients.

    `operations` are the functions that its clients understand; leave it empty for a protocol that replicates a state
    machine (its config is a `ReplicatedConfig`), where the state machine defines them. `model` names the sequential
    model against which its histories are checked; `checkers` the checkers that run unless the user chooses others.
    `invariants` hold of its nodes at every moment. `recovers`: it promises to serve again when all faults have ended,
    if the remaining nodes can (`Node.can_serve`). `recovery_time(config)` is the time in nanoseconds that this may
    take, if it is long: the lease of what a crashed client has left behind. `sometimes` are situations that a result
    counts, to show how hard the runs were. `administration` are the operations that an `Administrator` may request of
    its nodes; they require a config that is a `ReplicatedConfig`. `settled(nodes)` is asked once clients are quiet and
    faults are over, until the time limit `settle`: it returns None if the nodes that run have finished what they
    promise to finish, else the reason why not, which makes the run invalid ("transaction 7 is still in doubt at p2").
    On Ray it is given copies of the nodes, which have their attributes but cannot act. `assumes`: what it promises
    holds only where these assumptions do; the conformance kit judges no run in which they do not hold.

    A protocol whose nodes differ gives `roles` instead of `node`:
    `{"coordinator": (Coordinator, 1), "participant": (Participant, None)}`. A role is a class and a count: a number, a
    function of the protocol's config that returns one, or None for all other nodes of the run, once. The nodes n1, n2,
    … are given their roles in this order; every node and client knows them all, as `self.roles`.

    `chosen` are the protocols that the config of a run chooses for its mounts (see `ProtocolChoice`), and `guests` the
    classes that its workload adds: not to be given.
    """

    client: type[Client]
    node: type[Node] = Node
    roles: Mapping[str, Role] = field(default_factory=dict)
    operations: tuple[str, ...] = ()
    model: str | None = None
    checkers: tuple[str, ...] = ()
    invariants: tuple[type[Invariant[Any]], ...] = ()
    recovers: bool = False
    recovery_time: Callable[[Any], int] | None = None
    sometimes: tuple[Sometimes, ...] = ()
    administration: tuple[str, ...] = ()
    assumes: tuple[Assumption, ...] = ()
    settled: Callable[[Mapping[NodeId, Any]], str | None] | None = None
    chosen: tuple[ProtocolSpec, ...] = ()
    guests: tuple[type[Node], ...] = ()

    def __post_init__(self) -> None:
        if self.roles and self.node is Node and isinstance(self.roles, Mapping):
            first = next(iter(self.roles.values()))
            object.__setattr__(self, "node", first[0] if isinstance(first, tuple) and first else Node)

    def offered(self, machine: type[StateMachine] | None) -> tuple[str, ...]:
        """Returns the functions that its clients perform: its own, or those of the state machine that it replicates."""
        return self.operations or (() if machine is None else machine.operations)

    def choice(self, config: Any) -> ProtocolChoice:
        """Returns the choice of this protocol with a config."""
        return ProtocolChoice(self.name, config, self.node, self.client)

    @property
    def role_classes(self) -> list[type[Node]]:
        """The classes of its nodes: one for each role, or the one of all."""
        return [node for node, _ in self.roles.values()] or [self.node]

    @property
    def converges(self) -> bool:
        """True if it promises that its replicas become equal once clients are quiet: its nodes, or nodes that they may
        mount, override `replica` or `replicas`."""
        served = with_mounts([*self.role_classes, *(each for spec in self.chosen for each in spec.role_classes)])
        return any(one.replica is not Node.replica or one.replicas is not Node.replicas for one in served)

    @property
    def settles(self) -> bool:
        """True if a run waits for it after its last operation."""
        return self.converges or self.settled is not None

    @property
    def node_classes(self) -> list[type[Node]]:
        """The classes of its nodes and clients and all that they may mount, each once."""
        chosen = [each for spec in self.chosen for each in (*spec.role_classes, spec.client)]
        return with_mounts([*self.role_classes, self.client, *chosen, *self.guests])


def with_mounts(classes: Iterable[type[Node]]) -> list[type[Node]]:
    """Returns the classes and all that they may mount, each once."""
    found: dict[type[Node], None] = {}

    def walk(node: type[Node]) -> None:
        if node not in found:
            found[node] = None
            for mounted in node.mounts:
                walk(mounted)

    for each in classes:
        walk(each)
    return list(found)


@dataclass(frozen=True, kw_only=True)
class StateMachineSpec(Spec):
    """A state machine. `model` names the sequential model of its histories; `checkers` those that run instead of the
    checkers of the protocol that replicates it, if it names any."""

    machine: type[StateMachine]
    model: str | None = None
    checkers: tuple[str, ...] = ()

    def choice(self, config: Any) -> StateMachineChoice:
        """Returns the choice of this state machine with a config."""
        return StateMachineChoice(self.machine, config)


@dataclass(frozen=True, kw_only=True)
class PlacementSpec(Spec):
    """A placement; its config derives from `PlacementConfig`."""

    placement: type[Placement]
    config: type[PlacementConfig] | None = PlacementConfig

    def choice(self, config: Any) -> PlacementChoice:
        """Returns the choice of this placement with a config."""
        return PlacementChoice(self.name, config, self.placement)


@dataclass(frozen=True, kw_only=True)
class BalancerSpec(Spec):
    """A balancer; its config derives from `BalancerConfig`."""

    balancer: type[Balancer]
    config: type[BalancerConfig] | None = BalancerConfig

    def choice(self, config: Any) -> BalancerChoice:
        """Returns the choice of this balancer with a config."""
        return BalancerChoice(self.name, config, self.balancer)


PluginSpec: TypeAlias = ProtocolSpec | PlacementSpec | BalancerSpec
"""The specs that a config can choose by name (see `PluginChoice`)."""


@dataclass(frozen=True, kw_only=True)
class WorkloadSpec(Spec):
    """A workload; its config derives from `WorkloadConfig`.

    `service` is the class of a node that the workload adds to the run, which every protocol under test meets alike: a
    store that a lock guards, say. Its config is the workload's, its name is `s1`, and `self.roles["service"]` has it.
    `client` is a class that takes the place of the protocol's clients, and mounts one of them: its config is a
    `WrappedClientConfig`. `operations` are the functions that this class performs, and `requires` those that it asks of
    the protocol. `validate(config, protocol)`, called before the run, raises ValueError if the protocol cannot serve a
    workload with this config.
    """

    workload: type[Workload]
    config: type[WorkloadConfig] | None = WorkloadConfig
    service: type[Node] | None = None
    client: type[Client] | None = None
    operations: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    validate: Callable[[Any, ProtocolSpec], None] | None = None

    @property
    def guests(self) -> tuple[type[Node], ...]:
        """The node classes that it adds to a run."""
        return tuple(each for each in (self.service, self.client) if each is not None)


class WrappedClientConfig(Config):
    """The config of a client that wraps the protocol's clients, for `WorkloadSpec.client`. `operations` are the
    functions that those perform.

    def on_start(self) -> None:
        lock = self.config.protocol
        self.lock = self.mount("lock", lock.client, lock.config, self.servers, peer_mount="")
    """

    protocol: ProtocolChoice
    workload: WorkloadConfig
    operations: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NetworkSpec(Spec):
    """A network model."""

    model: type[NetworkModel]


@dataclass(frozen=True, kw_only=True)
class FaultSpec(Spec):
    """A kind of fault: either a `fault` whose config, derived from `FaultConfig`, says when it is injected, or a `plan`
    that makes and times faults of other kinds."""

    fault: type[Fault] | None = None
    plan: type[FaultPlan] | None = None
    config: type[Config] | None = FaultConfig

    @property
    def implementation(self) -> type[Fault] | type[FaultPlan]:
        """The class of the plugin."""
        found = self.fault or self.plan
        assert found is not None, "registration sees to it"
        return found

    def make_plan(
        self, config: Any, kinds: FaultKinds, nodes: Sequence[NodeId] = (), spares: Sequence[NodeId] = ()
    ) -> FaultPlan:
        """Makes the plan of one run with the servers `nodes` and the spare servers `spares`."""
        if self.plan is not None:
            return self.plan(config, kinds, nodes, spares)
        assert self.fault is not None
        fault = self.fault(config)
        check_initialized(fault, "config", f"faults={self.name}")
        return PeriodicPlan(fault, nodes, spares)


@dataclass(frozen=True, kw_only=True)
class CheckerSpec(Spec):
    """A check of what clients saw.

    `check(run, config)` judges a `FinishedRun`, given this spec's config. `validate(models, config)`, called before the
    run, raises ConfigError if the check would be impossible.
    """

    check: Callable[[FinishedRun, Any], CheckResult]
    validate: Callable[[Models, Any], None] | None = None


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """A sequential model, for `checker.linearizability.model=NAME` and `framework.check --model NAME`."""

    model: type[Model]

    def made(self) -> Model:
        """Makes the model, with the name of the spec. Raises PluginFailed if that fails."""
        with blaming(f"model={self.name}", "__init__", self.model):
            made = self.model()
        made.name = self.name  # type: ignore[misc]
        return made


@dataclass(frozen=True)
class Registered:
    """All installed plugins, by kind and name."""

    protocols: dict[str, ProtocolSpec] = field(default_factory=dict)
    state_machines: dict[str, StateMachineSpec] = field(default_factory=dict)
    placements: dict[str, PlacementSpec] = field(default_factory=dict)
    balancers: dict[str, BalancerSpec] = field(default_factory=dict)
    workloads: dict[str, WorkloadSpec] = field(default_factory=dict)
    networks: dict[str, NetworkSpec] = field(default_factory=dict)
    faults: dict[str, FaultSpec] = field(default_factory=dict)
    checkers: dict[str, CheckerSpec] = field(default_factory=dict)
    models: dict[str, ModelSpec] = field(default_factory=dict)
