"""What an author is told when a spec breaks a rule."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from framework import (
    CheckerSpec,
    Client,
    ClusterView,
    Config,
    Duration,
    Fault,
    FaultPlan,
    FaultSpec,
    FinalPhaseConfig,
    Injection,
    Invariant,
    Link,
    Message,
    NetworkModel,
    NetworkSpec,
    Node,
    NodeId,
    Operation,
    OperationId,
    PlannedFault,
    PluginError,
    ProtocolSpec,
    ReplicatedConfig,
    SessionClient,
    StateMachine,
    StateMachineSpec,
    Step,
    TargetedFault,
    Workload,
    WorkloadSpec,
    handles,
)
from framework.registry.checks import check_protocol, check_spec, package_messages
from framework.registry.messages import named_messages, node_classes, wire_name


class Ping(Message):
    operation: OperationId


class Pong(Message):
    operation: OperationId


class Answering(Message):
    """Handled through the class that derives from it."""

    operation: OperationId


class Detailed(Answering):
    text: str


class Child(Node):
    @handles(Pong)
    def on_pong(self, sender: NodeId, pong: Pong) -> None: ...


class Parent(Node):
    mounts = (Child,)

    @handles(Ping, Detailed)
    def on_ping(self, sender: NodeId, ping: Ping | Detailed) -> None: ...


Child.mounts = (Parent,)  # a tree of either kind


class Pinger(Client):
    def invoke(self, operation: Operation) -> None: ...


class Unconfigured(Config):
    pace: Duration


class Named(Config):
    name: str = "x"


SPEC = ProtocolSpec(name="ping", node=Parent, client=Pinger, summary="Pings.", operations=("ping",))


def refused(spec: Any) -> str:
    with pytest.raises(PluginError) as raised:
        check_spec(spec)
    return str(raised.value)


def spec_with(**wrong: Any) -> ProtocolSpec:
    return dataclasses.replace(SPEC, **wrong)


def test_a_protocol_whose_messages_are_all_handled_is_accepted() -> None:
    check_protocol(SPEC)
    assert sorted(named_messages(SPEC)) == ["ping.Detailed", "ping.Ping", "ping.Pong"]
    assert node_classes(SPEC) == [Parent, Child, Pinger]
    assert set(package_messages(__name__)) == {Ping, Pong, Answering, Detailed}


def test_a_message_that_nobody_handles_is_named_with_what_to_write() -> None:
    class Deaf(Node):
        @handles(Ping, Detailed)
        def on_ping(self, sender: NodeId, ping: Ping | Detailed) -> None: ...

    error = refused(dataclasses.replace(SPEC, node=Deaf))
    assert "no handler for Pong" in error
    assert "Write @handles(Pong) in Deaf or Pinger" in error
    check_protocol(dataclasses.replace(SPEC, node=Deaf), siblings=[SPEC])  # its sibling does


def test_an_assumption_that_nobody_knows_is_named() -> None:
    check_protocol(spec_with(assumes=("reliable", "fifo", "no_crash")))
    assert "Did you mean 'no_crash'?" in refused(spec_with(assumes=("no_crashes",)))


def test_a_field_that_is_not_immutable_is_named() -> None:
    class Basket(Message):
        items: list[str]

    class Keeper(Node):
        @handles(Basket)
        def on_basket(self, sender: NodeId, basket: Basket) -> None: ...

    assert "Write tuple[X, ...] instead" in refused(dataclasses.replace(SPEC, node=Keeper))


def test_two_messages_of_one_wire_name_are_refused() -> None:
    twin = type("Ping", (Message,), {"__module__": f"{__name__}.messages", "__annotations__": {"operation": int}})

    class Both(Node):
        @handles(Ping, twin)
        def on_ping(self, sender: NodeId, ping: Ping | Detailed) -> None: ...

    assert wire_name(twin, SPEC) == "ping.Ping"
    assert "two messages are called ping.Ping" in refused(dataclasses.replace(SPEC, node=Both))


@pytest.mark.parametrize(
    ("name", "better"),
    [("MultiPaxos", "multi_paxos"), ("2pc", "pc"), ("a-b", "a_b"), ("", "my_plugin"), ("É", "my_plugin")],
)
def test_a_name_is_one_that_can_be_typed(name: str, better: str) -> None:
    assert f"Write {better!r}" in refused(dataclasses.replace(SPEC, name=name))


def test_a_name_is_not_a_word_of_the_config_language() -> None:
    assert "has another meaning in YAML" in refused(dataclasses.replace(SPEC, name="none"))


def test_the_parts_of_a_spec_are_of_the_right_kind() -> None:
    assert "node=int is not a Node" in refused(spec_with(node=int))
    assert "client=Parent is not a Client" in refused(spec_with(client=Parent))
    assert "config=int is not a Config" in refused(spec_with(config=int))
    assert "model=str is not a NetworkModel" in refused(NetworkSpec(name="x", summary="", model=str))  # type: ignore[arg-type]
    assert "check is not a function" in refused(CheckerSpec(name="x", summary="", check=3))  # type: ignore[arg-type]


def test_a_config_builds_from_its_defaults_and_leaves_the_key_name_free() -> None:
    assert "the defaults of Unconfigured do not build" in refused(dataclasses.replace(SPEC, config=Unconfigured))
    assert "`name` is the name of the plugin" in refused(dataclasses.replace(SPEC, config=Named))


def test_a_workloads_config_is_a_workload_config() -> None:
    class Idle(Workload):
        def functions(self) -> tuple[str, ...]:
            return ()

        def next(self, client: NodeId, now: int, rng: random.Random) -> tuple[str, str | None, Any]:
            return "", None, None

    assert "is not a WorkloadConfig" in refused(
        WorkloadSpec(name="idle", summary="", workload=Idle, config=ReplicatedConfig)  # type: ignore[arg-type]
    )

    class Half(Workload):
        def functions(self) -> tuple[str, ...]:
            return ()

    assert "Half has no next()" in refused(WorkloadSpec(name="half", summary="", workload=Half))  # type: ignore[type-abstract]


class Ends(Workload):
    def functions(self) -> tuple[str, ...]:
        return ()

    def next(self, client: NodeId, now: int, rng: random.Random) -> Any:
        return None

    def final(self, client: NodeId, now: int, rng: random.Random) -> Any:
        return None


class BeforeTime(Ends):
    def next(self, client: NodeId, rng: random.Random) -> Any:  # type: ignore[override]
        return None


def test_a_workload_takes_the_time_and_a_final_phase_has_its_settings() -> None:
    check_spec(WorkloadSpec(name="ends", summary="", workload=Ends, config=FinalPhaseConfig))
    assert (
        "has no settings for it. Write class MyConfig(FinalPhaseConfig), and config=MyConfig in the spec."
        in refused(WorkloadSpec(name="ends", summary="", workload=Ends))
    )
    assert "BeforeTime.next does not take what it is given: client, now, rng. Write def next(self, client" in refused(
        WorkloadSpec(name="before", summary="", workload=BeforeTime, config=FinalPhaseConfig)
    )


class Dull(Fault):
    def inject(self, view: ClusterView) -> Injection | None:
        return None


class Never(FaultPlan):
    def planned_faults(self, name: str, span: int, rng: random.Random) -> list[PlannedFault]:
        return []


def test_a_fault_is_a_fault_or_a_plan() -> None:
    check_spec(FaultSpec(name="dull", summary="", fault=Dull))
    check_spec(FaultSpec(name="never", summary="", plan=Never, config=Config))
    assert "has neither a fault nor a plan" in refused(FaultSpec(name="x", summary=""))
    assert "has both a fault and a plan" in refused(FaultSpec(name="x", summary="", fault=Dull, plan=Never))
    assert "fault=Never is not a Fault" in refused(FaultSpec(name="x", summary="", fault=Never))  # type: ignore[arg-type]
    assert "config=Config is not a FaultConfig, so it does not say when" in refused(
        FaultSpec(name="x", summary="", fault=Dull, config=Config)
    )


def test_session_clients_need_a_replicated_config() -> None:
    assert "its config chooses no state machine" in refused(
        ProtocolSpec(name="log", node=Parent, client=SessionClient, summary="")
    )


class Elsewhere(Node):
    """A node of no protocol here."""


class Still(Invariant[Parent]):
    def observe(self, step: Step, node: Parent) -> None: ...


class OfTheChild(Invariant[Child]):
    def observe(self, step: Step, node: Child) -> None: ...


class Hasty(Workload):
    functions = ("wait",)  # type: ignore[assignment]

    def next(self, client: NodeId, now: int, rng: random.Random) -> Any:
        return None


class Timely(Workload):
    def functions(self) -> tuple[str, ...]:
        return ("wait",)

    def next(self, client: NodeId, now: int, rng: random.Random) -> Any:
        return None


class OwnFault(Fault):
    def inject(self, view: ClusterView, rng: random.Random) -> Injection | None:  # type: ignore[override]
        return None


class Drawn(Fault):
    def inject(self, view: ClusterView) -> Injection | None:
        return None

    def random_options(self, rng: random.Random) -> dict[str, Any]:  # type: ignore[override]
        return {}


class Aimless(TargetedFault):
    def inject(self, view: ClusterView) -> Injection | None:
        return None


class Forgetful(StateMachine):
    def restore(self, snapshot: bytes) -> None: ...


class Unasked(Invariant[Parent]):
    def observe(self, node: Parent) -> None: ...  # type: ignore[override]


class Bound(Timely):
    def __init__(self) -> None: ...


class Small(NetworkModel):
    def __init__(self, config: Config) -> None: ...

    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (WorkloadSpec(name="x", summary="", workload=Hasty), "Hasty.functions is not a method. Write def functions(self)."),
        (FaultSpec(name="x", summary="", fault=OwnFault), "OwnFault.inject does not take what it is given: view. Write def inject(self, view)."),
        (FaultSpec(name="x", summary="", fault=Drawn), "Drawn.random_options is not a classmethod. Write @classmethod above def random_options(cls, rng)."),
        (FaultSpec(name="x", summary="", fault=Aimless), "a TargetedFault needs a target, and config=FaultConfig has none. Write class MyConfig(TargetConfig), and"),
        (FaultSpec(name="x", summary="", fault=Aimless, config=None), "config=None is not a FaultConfig, so it does not say when. Write class MyConfig(FaultConfig), and"),
        (StateMachineSpec(name="x", summary="", machine=Forgetful), "Forgetful has no snapshot(). Write snapshot(self) -> bytes and restore("),
        (CheckerSpec(name="x", summary="", check=lambda run: run), "check does not take what it is given: a run and a config"),
        (CheckerSpec(name="x", summary="", check=print, validate=lambda models: None), "validate does not take what it is given: the models and a config"),
        (WorkloadSpec(name="x", summary="", workload=Timely, validate=lambda config: None), "validate does not take what it is given: a config and a ProtocolSpec. Write def validate(config, protocol: ProtocolSpec) -> None."),
        (WorkloadSpec(name="x", summary="", workload=Timely, validate="no"), "validate is not a function. Write validate(config, protocol: ProtocolSpec) -> None."),  # type: ignore[arg-type]
        (dataclasses.replace(SPEC, settled=lambda: None), "settled does not take what it is given: the nodes by name. Write def settled(nodes) -> str | None."),
        (dataclasses.replace(SPEC, checkers="echo"), 'checkers="echo" is not a tuple. Write checkers=("echo",).'),
        (dataclasses.replace(SPEC, operations="ping"), 'operations="ping" is not a tuple. Write operations=("ping",).'),
        (dataclasses.replace(SPEC, invariants=(Unasked,)), "Unasked.observe does not take what it is given: step, node. Write def observe(self, step, node)."),
        (WorkloadSpec(name="x", summary="", workload=Bound), "Bound.__init__ does not take what it is given: config. Write def __init__(self, config)."),
        (NetworkSpec(name="x", summary="", model=Small), "Small.__init__ does not take what it is given: config, nodes, clients. Write def __init__(self, config, nodes, clients)."),
        (dataclasses.replace(SPEC, invariants=(Still(),)), "invariants: Still is an instance. Give the class: invariants=(Still,)."),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_cannot_be_called_or_read_as_it_will_be_is_an_error_at_once(spec: Any, says: str) -> None:
    assert says in refused(spec)


class Unwritten(Invariant[Parent]):
    pass


class Bare(Invariant):  # type: ignore[type-arg]
    def observe(self, step: Step, node: Node) -> None: ...


class Arguable(Invariant[Parent]):
    def __init__(self, limit: int) -> None: ...

    def observe(self, step: Step, node: Parent) -> None: ...


class Astray(Invariant[Elsewhere]):
    def observe(self, step: Step, node: Elsewhere) -> None: ...


def test_invariants_watch_the_protocols_nodes_or_what_these_mount() -> None:
    check_spec(dataclasses.replace(SPEC, invariants=(Still, OfTheChild)))


@pytest.mark.parametrize(
    ("invariant", "why"),
    [
        (Child, "invariants: Child is not an Invariant. Write class Child(Invariant[MyNode])."),
        (Unwritten, "Unwritten has no observe(). Write observe(self, step, node)."),
        (
            Bare,
            "Bare does not name the nodes that it observes. Write class Bare(Invariant[Parent]), or Invariant[Node] for all nodes and clients.",
        ),
        (
            Arguable,
            "Arguable.__init__ does not take what it is given: nothing. Write def __init__(self).",
        ),
        (Astray, "Astray watches Elsewhere, which is none of its nodes. Write class Astray(Invariant[Parent])."),
    ],
)
def test_what_is_wrong_with_an_invariant_is_said_before_anything_runs(invariant: Any, why: str) -> None:
    assert why in refused(dataclasses.replace(SPEC, invariants=(invariant,)))
