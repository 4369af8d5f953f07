"""The life of a node: its table of states, which the documentation shows, and what stops a node."""

from __future__ import annotations

import random
from typing import Any

import pytest

from framework import Node, Status, durable
from framework.core.errors import PluginFailed
from framework.core.node_runtime import NodeRuntime, Start
from framework.core.storage import MemoryStorage
from framework.engine.base import EndpointSpec, NodeCrash
from framework.engine.shared.node_life import TRANSITIONS, HostedNode, NodeLife, NodeState
from framework.faults.disk_faults import FaultyStorage
from framework.trace.schema import EventKind
from tests.test_imports import ROOT


class Counts(Node):
    starts: int = durable(0)

    def on_start(self) -> None:
        self.starts += 1
        if self.config == "raises":
            raise KeyError("x")

    @property
    def status(self) -> Status:
        return Status(term=1 // (self.starts % 3))


class Ports:
    """An engine that does nothing but listen."""

    def __init__(self) -> None:
        self.rows: list[tuple[EventKind, str]] = []
        self.stopped_nodes: list[str] = []
        self.failed: list[NodeCrash] = []
        self.met = ""

    def now(self) -> int:
        return 7

    def timer_step(self, node: HostedNode, key: Any, cause: int) -> int:
        return -1

    def record(self, kind: EventKind, at: int, cause: int, node: HostedNode, path: str = "", **columns: Any) -> int:
        self.rows.append((kind, node.id))
        return -1

    def start(self, node: HostedNode, runtime: NodeRuntime, cause: int) -> None:
        runtime.run_one(Start(node.node_class, node.config, node.peers))

    def stopped(self, node: HostedNode) -> None:
        self.stopped_nodes.append(node.id)

    def disk_fault_met(self, node: HostedNode) -> None:
        self.met = node.id

    def storage_failed(self, node: HostedNode, crash: NodeCrash) -> None:
        self.failed.append(crash)


def hosted(config: Any = None, *, spare: bool = False) -> HostedNode:
    return HostedNode(0, "n1", EndpointSpec(Counts, (), config, spare=spare))


def boot(life: NodeLife, node: HostedNode, storage: Any = None) -> None:
    life.boot(node, storage or MemoryStorage(), random.Random(1), -1)


def test_the_documentation_shows_the_table() -> None:
    states = "".join(f"| {state.name} | {state.value} |\n" for state in NodeState)
    order = list(NodeState)
    rows = sorted(TRANSITIONS.items(), key=lambda row: (order.index(row[0][0]), row[0][1]))
    moves = "".join(f"| {state.name} | {event} | {after.name} |\n" for (state, event), after in rows)
    page = (ROOT / "docs/engines.md").read_text()
    assert states in page and page.endswith(moves)


def test_every_state_can_be_reached_and_only_those_that_nothing_mends_are_left_by_nothing() -> None:
    reached = {NodeState.STANDBY, NodeState.DOWN, *TRANSITIONS.values()}
    assert reached == set(NodeState)
    assert set(NodeState) - {state for state, _ in TRANSITIONS} == {NodeState.FAILED, NodeState.LOST}


def test_what_a_state_does_not_allow_is_a_mistake_of_the_engine() -> None:
    node = hosted()
    with pytest.raises(AssertionError, match="n1: pause while DOWN"):
        node.on("pause")
    for event, state in (
        ("boot", NodeState.BOOTING), ("booted", NodeState.IDLE), ("commit", NodeState.COMMITTING),
        ("pause", NodeState.PAUSED_COMMITTING), ("committed", NodeState.PAUSED_COMMITTED), ("resume", NodeState.COMMITTING),
        ("committed", NodeState.IDLE), ("crash", NodeState.DOWN),
    ):  # fmt: skip
        node.on(event)  # type: ignore[arg-type]
        assert node.state is state


def test_a_node_boots_stops_and_boots_again() -> None:
    ports = Ports()
    life, node = NodeLife(ports), hosted(spare=True)
    assert node.state is NodeState.STANDBY and life.status(node) is None
    boot(life, node)
    assert node.state is NodeState.IDLE and life.status(node) == Status(term=1)
    crash = life.stop(node, "crash", "fault", -1, asked=True)
    assert (crash, node.state, node.runtime) == (NodeCrash("n1", 7, "fault", asked=True), NodeState.DOWN, None)
    assert (life.crashes, ports.stopped_nodes, ports.rows) == ([crash], ["n1"], [(EventKind.CRASH, "n1")])
    boot(life, node)
    assert node.state is NodeState.IDLE


def test_an_exception_ends_a_node_for_good_and_one_in_its_status_is_no_less() -> None:
    life, node = NodeLife(Ports()), hosted("raises")
    boot(life, node)
    assert (
        node.state is NodeState.FAILED and "KeyError" in life.crashes[0].why and "on_start" in life.crashes[0].traceback
    )
    life, node = NodeLife(Ports()), hosted()
    boot(life, node)
    assert node.runtime is not None
    node.runtime.root.starts = 3  # type: ignore[attr-defined]
    assert life.status(node) is None and node.state is NodeState.FAILED
    assert life.crashes[0].why.startswith("ZeroDivisionError")


def test_what_another_plugin_did_is_no_crash_of_the_node() -> None:
    life, node = NodeLife(Ports()), hosted()
    boot(life, node)
    with pytest.raises(PluginFailed):
        life.raised(node, PluginFailed("network=x", "raised"))
    assert node.state is NodeState.IDLE and life.crashes == []


def test_damaged_storage_loses_the_node() -> None:
    ports = Ports()
    life, node = NodeLife(ports), hosted()
    boot(life, node, FaultyStorage(MemoryStorage(), "damage"))
    assert node.state is NodeState.LOST
    assert (ports.failed, ports.met) == (life.crashes, "n1") and life.crashes[0].storage and life.crashes[0].asked
