"""Heartbeats with a fixed time-out, driven by hand, and whole runs of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from framework import MILLISECOND
from framework.testing.cluster import Cluster
from plugins.protocols.heartbeat.node import Heartbeat, HeartbeatConfig, HeartbeatDetector
from tests.sweep.outcomes import outcomes
from tests.written import written

EXPIRES = ("", "expire", ("n2",))


def cluster(**settings: Any) -> Cluster:
    """Three nodes whose first heartbeats have arrived."""
    made = Cluster(HeartbeatDetector, written(HeartbeatConfig, **settings), ["n1", "n2", "n3"])
    made.stabilize()
    made.clear_log()
    return made


def noted(nodes: Cluster, name: str) -> list[tuple[str, Any]]:
    return [(node, fields["node"]) for node, note, fields in nodes.notes if note == name]


def test_a_heartbeat_goes_to_everyone_once_each_interval() -> None:
    nodes = cluster()
    nodes.time_out("n1", "beat")
    assert nodes.log == ["n1 fires beat at 100ms", "  → n2, n3: Heartbeat(incarnation=1, number=2)"]
    assert nodes.timers("n1")["", "beat", ()] == 200 * MILLISECOND


def test_a_node_that_is_silent_for_the_timeout_is_suspected() -> None:
    nodes = cluster()
    nodes.time_out("n1", "expire", "n2")
    assert nodes.now == 500 * MILLISECOND
    assert nodes.node("n1").suspected == {"n2": 1}


def test_each_newer_heartbeat_puts_the_suspicion_off() -> None:
    nodes = cluster()
    nodes.time_out("n2", "beat")
    nodes.stabilize()
    assert nodes.timers("n1")[EXPIRES] == 600 * MILLISECOND


@pytest.mark.parametrize("late", [Heartbeat(1, 1), Heartbeat(1, 0), Heartbeat(0, 99)])
def test_one_that_was_overtaken_does_not(late: Heartbeat) -> None:
    nodes = cluster()
    nodes.advance(50 * MILLISECOND, fire=False)
    nodes.deliver(nodes.send("n2", "n1", late))
    assert nodes.timers("n1")[EXPIRES] == 500 * MILLISECOND
    assert nodes.node("n1").latest["n2"] == Heartbeat(1, 1)


def test_a_heartbeat_ends_a_suspicion_which_was_a_mistake() -> None:
    nodes = cluster()
    nodes.fire("n1", "expire", "n2")
    nodes.fire("n2", "beat")
    nodes.stabilize()
    assert nodes.node("n1").suspected == {}
    assert noted(nodes, "mistake") == noted(nodes, "trusted") == [("n1", "n2")]


def test_a_suspicion_of_a_node_that_has_restarted_was_none() -> None:
    nodes = cluster()
    nodes.crash("n2")
    nodes.fire("n1", "expire", "n2")
    nodes.restart("n2")
    nodes.stabilize()
    assert nodes.node("n1").suspected == {} and nodes.node("n1").incarnation_of("n2") == 2
    assert (noted(nodes, "mistake"), noted(nodes, "trusted")) == ([], [("n1", "n2")])


def test_a_node_that_has_never_been_heard_of_is_suspected_too() -> None:
    nodes = Cluster(HeartbeatDetector, HeartbeatConfig(), ["n1", "n2"])
    nodes.crash("n2")
    nodes.drop_all()
    nodes.time_out("n1", "expire", "n2")
    assert nodes.node("n1").suspected == {"n2": 0}


def test_an_incarnation_is_counted_durably_at_each_start() -> None:
    nodes = cluster()
    for incarnation in (2, 3):
        nodes.crash("n2")
        nodes.restart("n2")
        assert nodes.node("n2").incarnation == nodes.stored("n2")[""]["incarnation"] == incarnation
        assert nodes.waiting(Heartbeat, "n2", "n1")[-1].message == Heartbeat(incarnation, 1)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"interval": "0"}, "interval=0 leaves no time for an answer"),
        ({"timeout": "100ms"}, "timeout=100ms must be longer than interval=100ms"),
        ({"client_retry": "0"}, "client_retry=0 leaves no time for an answer"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        written(HeartbeatConfig, **settings)


@pytest.mark.parametrize("seed", [1, 4])
def test_it_lives_through_chaos(seed: int) -> None:
    words = ["experiment=failure_detector_chaos", "protocol.detector=heartbeat", "trace=history"]
    (found,) = outcomes(words, [seed])
    assert found.verdict == "valid", found.reason
    assert found.sometimes["a suspicion was a mistake"]
