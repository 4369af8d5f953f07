"""Each invariant of SWIM catches members that break it; that it is quiet otherwise, the runs under chaos show."""

from __future__ import annotations

import pytest

from framework import MILLISECOND, SECOND, NodeId, Step, Violation
from framework.testing.cluster import Cluster
from plugins.protocols.swim.invariants import INVARIANTS
from plugins.protocols.swim.messages import ProbeId
from plugins.protocols.swim.node import Probe
from tests.plugins.protocols.swim.groups import group, said


class Watched:
    """A group whose members are observed when the test says so."""

    def __init__(self) -> None:
        self.members: Cluster = group()
        self.invariants = [invariant() for invariant in INVARIANTS]
        self.time = 0
        for name in self.members.servers:
            self.observe(name, started=True)

    def observe(self, name: NodeId, *, started: bool = False, after: int = SECOND) -> None:
        self.time += after
        step = Step(name)
        step.time, step.started = self.time, started
        for invariant in self.invariants:
            invariant.observe(step, self.members.node(name))

    def crash(self, name: NodeId) -> None:
        self.members.crash(name)
        for invariant in self.invariants:
            invariant.on_crash(name)

    def broken(self, name: NodeId) -> str:
        with pytest.raises(Violation) as violation:
            self.observe(name)
        return str(violation.value)


def test_override_order() -> None:
    watched = Watched()
    watched.members.node("n1").learn(said("n2", 1, "suspect"))
    watched.observe("n1")
    watched.members.node("n1").members["n2"] = said("n2", 1, "alive")
    assert "n1 held n2 suspect in incarnation 1, and holds n2 alive in incarnation 1" in watched.broken("n1")


def test_a_faulty_member_returns_in_a_higher_incarnation_only() -> None:
    watched = Watched()
    node = watched.members.node("n1")
    node.learn(said("n2", 1, "suspect"))
    watched.observe("n1")
    node.learn(said("n2", 1, "confirm"))
    watched.observe("n1")
    node.suspected.clear()
    node.members["n2"] = said("n2", 1, "alive")
    assert "override order" in watched.broken("n1")


def test_confirmed_is_suspected() -> None:
    watched = Watched()
    watched.members.node("n1").suspected["n2"] = 1
    watched.members.node("n1").members["n2"] = said("n2", 1, "suspect")
    assert "n1 holds n2 suspect in incarnation 1, and suspects n2" in watched.broken("n1")


def test_time_to_refute() -> None:
    watched = Watched()
    watched.members.node("n1").learn(said("n2", 1, "confirm"))
    assert "which has been suspected for 0" in watched.broken("n1")


def test_a_suspicion_elsewhere_counts_as_time_to_refute() -> None:
    watched = Watched()
    watched.members.node("n3").learn(said("n2", 1, "suspect"))
    watched.observe("n3")
    watched.members.node("n1").learn(said("n2", 1, "confirm"))
    watched.observe("n1")


def test_asked_first() -> None:
    watched = Watched()
    watched.members.node("n1").failed = Probe("n2", ProbeId(1, 7))
    assert "n1 suspects n2, and has asked nobody else" in watched.broken("n1")


def test_piggyback_limit() -> None:
    watched = Watched()
    watched.members.node("n1").sent["n2"] = 5  # 3 ln 4 = 4.2
    assert "n1 has sent an update 5 times, and the limit is 5" in watched.broken("n1")


def acknowledged_when_down(watched: Watched) -> None:
    """n2 goes down, n1 begins to probe it, and the probe is acknowledged."""
    watched.crash("n2")
    watched.members.node("n1").current = Probe("n2", ProbeId(1, 7))
    watched.observe("n1")
    watched.members.node("n1").current.is_acknowledged = True
    watched.observe("n1")


def test_ran_when_probed() -> None:
    watched = Watched()
    acknowledged_when_down(watched)
    assert "a probe of n2 by n1 was acknowledged, and n2 was down all the time" in watched.broken("n3")


def test_a_restart_that_is_reported_a_little_late_is_no_violation() -> None:
    watched = Watched()
    acknowledged_when_down(watched)
    watched.members.restart("n2")
    watched.observe("n2", started=True, after=MILLISECOND)
    watched.observe("n3")


def test_an_ack_that_was_sent_before_the_crash_counts() -> None:
    watched = Watched()
    watched.members.node("n1").current = Probe("n2", ProbeId(1, 7))
    watched.observe("n1")
    watched.crash("n2")
    watched.observe("n1")
    watched.members.node("n1").current.is_acknowledged = True
    watched.observe("n1")
    watched.observe("n3")
