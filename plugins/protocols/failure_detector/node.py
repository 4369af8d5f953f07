"""A node that mounts a failure detector, chosen by config, and serves its suspicions to clients."""

from __future__ import annotations

from collections.abc import Collection

from framework import (
    Alive,
    Detector,
    DetectorConfig,
    DetectorStatus,
    Invariant,
    Node,
    NodeId,
    ProtocolChoice,
    Step,
    Suspected,
    SuspectsReply,
    SuspectsRequest,
    Violation,
    handles,
)

MOUNT = "detector"


class FailureDetectorConfig(DetectorConfig):
    """The protocol of the detector. Raises ValueError if it is none."""

    detector: ProtocolChoice = ProtocolChoice("swim")
    """The failure detector: `heartbeat`, `phi_accrual` or `swim`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        node = self.detector.node
        if node is not None and not issubclass(node, Detector):
            raise ValueError(f"detector={self.detector.name}: it is no failure detector; swim is one")


class FailureDetector(Node):
    """Keeps the suspicions that its detector reports."""

    config: FailureDetectorConfig

    def on_start(self) -> None:
        self.suspected: dict[NodeId, int] = {}
        """The nodes that are suspected now, with the incarnation in which each is suspected."""
        choice = self.config.detector
        self.detector = self.mount(MOUNT, choice.node, choice.config, self.peers)

    @handles(Suspected)
    def on_suspected(self, mount: str, suspected: Suspected) -> None:
        self.suspected[suspected.node] = suspected.incarnation

    @handles(Alive)
    def on_alive(self, mount: str, alive: Alive) -> None:
        self.suspected.pop(alive.node, None)

    @handles(SuspectsRequest)
    def on_suspects_request(self, sender: NodeId, request: SuspectsRequest) -> None:
        self.send(sender, SuspectsReply(request.operation, tuple(sorted(self.suspected))))

    @property
    def status(self) -> DetectorStatus:
        return DetectorStatus(incarnation=self.detector.incarnation, suspects=len(self.suspected))

    def can_serve(self, running: Collection[NodeId]) -> bool:
        return True  # a node that runs answers by itself


class ToldEverything(Invariant[FailureDetector]):
    """Checks that a parent has received exactly the suspicions of its detector."""

    def observe(self, step: Step, node: FailureDetector) -> None:
        if node.suspected != node.detector.suspected:
            what = f"{step.node} has received {node.suspected}, but its detector suspects {node.detector.suspected}"
            raise Violation("reported everything", (step.node,), what)
