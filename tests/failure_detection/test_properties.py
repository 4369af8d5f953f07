"""The properties of all failure detectors catch nodes that break them."""

from __future__ import annotations

import pytest

from framework import MILLISECOND, SECOND, Detector, DetectorConfig, NodeId, Step, Violation, wrong_suspicion
from framework.failure_detection.properties import Incarnations
from framework.testing.cluster import Cluster


class Recorder(Detector):
    """Knows and suspects what the test says."""

    def on_start(self) -> None:
        super().on_start()
        self.known = dict.fromkeys(self.peers, 0)

    def incarnation_of(self, peer: NodeId) -> int:
        return self.known[peer]


class Watched:
    """Three nodes, observed when the test says so."""

    def __init__(self) -> None:
        self.nodes = Cluster(Recorder, DetectorConfig(), ["n1", "n2", "n3"])
        self.invariant = Incarnations()
        self.time = 0
        for name in self.nodes.servers:
            self.observe(name, started=True)

    def observe(self, name: NodeId, *, started: bool = False, after: int = SECOND) -> None:
        self.time += after
        step = Step(name)
        step.time, step.started = self.time, started
        self.invariant.observe(step, self.nodes.node(name))

    def broken(self, name: NodeId, *, started: bool = False) -> str:
        with pytest.raises(Violation) as violation:
            self.observe(name, started=started)
        return str(violation.value)


def test_an_incarnation_must_not_fall_and_must_rise_at_a_start() -> None:
    watched = Watched()
    watched.nodes.node("n1").incarnation = 3
    watched.observe("n1")
    assert "n1 had incarnation 3, and has 3 after a start" in watched.broken("n1", started=True)
    watched.nodes.node("n1").incarnation = 2
    assert "n1 had incarnation 3, and has 2" in watched.broken("n1")


def test_what_is_known_of_an_incarnation_must_not_fall_until_a_restart() -> None:
    watched = Watched()
    watched.nodes.node("n1").known["n2"] = 1
    watched.observe("n1")
    watched.nodes.node("n1").known["n2"] = 0
    assert "n1 knew incarnation 1 of n2, and has gone back to 0" in watched.broken("n1")
    watched.nodes.crash("n1")
    watched.nodes.restart("n1")
    watched.observe("n1", started=True)


def test_nobody_knows_of_an_incarnation_before_the_node_itself() -> None:
    watched = Watched()
    watched.nodes.node("n1").known["n2"] = 2
    watched.observe("n1")
    assert "n1 knows incarnation 2 of n2, which has reached 1" in watched.broken("n2")


def test_it_may_seem_so_when_clocks_differ_or_the_node_was_not_looked_at() -> None:
    watched = Watched()
    watched.nodes.node("n1").known["n2"] = 2
    watched.observe("n1")
    watched.observe("n2", after=MILLISECOND)
    watched.nodes.node("n2").incarnation = 2
    watched.observe("n2")


def test_a_suspicion_ends_with_news_of_the_same_incarnation_or_a_later_one() -> None:
    watched = Watched()
    node = watched.nodes.node("n1")
    node.suspect("n2", 1)
    watched.observe("n1")
    node.trust("n2", 0)
    assert "n1 suspected n2 in incarnation 1, and knows of none so late" in watched.broken("n1")


def test_in_the_end_exactly_the_nodes_that_do_not_run_are_suspected() -> None:
    nodes = Cluster(Recorder, DetectorConfig(), ["n1", "n2", "n3"])

    def judged() -> str | None:
        return wrong_suspicion({node.id: node for node in nodes.nodes()})

    assert judged() is None
    nodes.crash("n3")
    assert judged() == "n1 does not suspect n3, which is down"
    for name in ("n1", "n2"):
        nodes.node(name).suspect("n3", 1)
    assert judged() is None
    nodes.node("n2").suspect("n1", 1)
    assert judged() == "n2 suspects n1, which runs"
