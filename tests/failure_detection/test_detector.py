"""What a detector tells the node that mounts it, whichever detector it is."""

from __future__ import annotations

from typing import Any

import pytest

from framework import Alive, Detector, DetectorConfig, Node, NodeId, Suspected, handles
from framework.testing.cluster import Cluster
from plugins.protocols.heartbeat.node import HeartbeatConfig, HeartbeatDetector
from plugins.protocols.phi_accrual.node import PhiAccrualConfig, PhiAccrualDetector
from plugins.protocols.swim.config import SwimConfig
from plugins.protocols.swim.node import Swim

DETECTORS = {
    "heartbeat": (HeartbeatDetector, HeartbeatConfig()),
    "phi_accrual": (PhiAccrualDetector, PhiAccrualConfig()),
    "swim": (Swim, SwimConfig()),
}


class Listener(Node):
    """Remembers what it is told."""

    mounts = (HeartbeatDetector, PhiAccrualDetector, Swim)

    def on_start(self) -> None:
        self.told: list[Any] = []
        node, config = self.config
        self.detector = self.mount("detector", node, config, self.peers)

    @handles(Suspected, Alive)
    def on_event(self, mount: str, event: Any) -> None:
        assert mount == "detector"
        self.told.append(event)


@pytest.fixture(params=DETECTORS)
def listeners(request: pytest.FixtureRequest) -> Cluster:
    """Three nodes that have heard of each other."""
    made = Cluster(Listener, DETECTORS[request.param], ["n1", "n2", "n3"])
    made.run(lambda: all(node.detector.incarnation_of(peer) == 1 for node in made.nodes() for peer in node.peers))
    return made


def test_nobody_tells_of_a_calm_group(listeners: Cluster) -> None:
    listeners.run(lambda: listeners.now > 3_000_000_000)
    assert [node.told for node in listeners.nodes()] == [[], [], []]


def test_a_crash_and_a_restart(listeners: Cluster) -> None:
    listeners.crash("n3")
    listeners.run(lambda: all(node.told for node in listeners.nodes()))
    listeners.restart("n3")
    listeners.run(lambda: all(len(node.told) == 2 for node in listeners.nodes()[:2]))
    assert [node.told for node in listeners.nodes()] == [[Suspected("n3", 1), Alive("n3", 2)]] * 2 + [[]]


def test_a_mistake_is_told_as_well(listeners: Cluster) -> None:
    """With SWIM the member that was suspected raises its incarnation; heartbeats know only that it is the same."""
    listeners.partition(["n1"], ["n2", "n3"])
    listeners.run(lambda: len(listeners.node("n1").told) == 2)
    listeners.heal()
    listeners.run(lambda: not any(node.detector.suspected for node in listeners.nodes()))
    for suspected, alive in zip(listeners.node("n1").told[:2], listeners.node("n1").told[2:], strict=True):
        assert (type(suspected), type(alive)) == (Suspected, Alive)
    by_node: dict[NodeId, list[int]] = {}
    for event in listeners.node("n1").told:
        by_node.setdefault(event.node, []).append(event.incarnation)
    raises = isinstance(listeners.node("n1").detector, Swim)
    assert by_node == {"n2": [1, 1 + raises], "n3": [1, 1 + raises]}


def test_an_author_must_say_what_is_known_of_incarnations() -> None:
    nodes = Cluster(Detector, DetectorConfig(), ["n1", "n2"])
    with pytest.raises(NotImplementedError, match=r"Detector needs incarnation_of\(peer\)"):
        nodes.node("n1").incarnation_of("n2")
