"""Detector: the base of failure detectors, and their port to the node that mounts them.

A detector suspects nodes that have probably crashed, and may be wrong (Chandra and Toueg, *Unreliable Failure Detectors
for Reliable Distributed Systems*, 1996). Its parent receives an event when it begins to suspect a node, and when it
ends a suspicion:

    class Replicator(Node):
        def on_start(self) -> None:
            choice = self.config.detector
            self.detector = self.mount("detector", choice.node, choice.config, self.peers)

        @handles(Suspected)
        def on_suspected(self, mount: str, suspected: Suspected) -> None: ...

        @handles(Alive)
        def on_alive(self, mount: str, alive: Alive) -> None: ...

An incarnation is a number that only the node itself raises: at each start, and in some protocols to refute a suspicion.
It distinguishes late news of an earlier incarnation from news of the present one.
"""

from __future__ import annotations

from collections.abc import Collection

from framework.core.client import OperationId
from framework.core.durable import durable
from framework.core.message import Config, Event, Message, NodeId
from framework.core.node import Node, handles
from framework.core.status import Status
from framework.core.time import Duration


class DetectorConfig(Config):
    """Base of the config of every failure detector, and of a node that serves the suspicions of one."""

    client_retry: Duration = Duration("100ms")
    """Time that a client waits for an answer before it asks another node."""

    def __post_init__(self) -> None:
        self.require_positive("client_retry")

    def require_positive(self, *names: str) -> None:
        """Raises ValueError for the first of these durations that is 0."""
        for name in names:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}=0 leaves no time for an answer: give more than 0")


class Suspected(Event):
    """To the parent: the detector suspects `node` from now on, in this incarnation; 0 if it has not heard of any."""

    node: NodeId
    incarnation: int


class Alive(Event):
    """To the parent: the detector no longer suspects `node`, which it has heard of in this incarnation.

    The incarnation is never lower than that of the `Suspected` before. The protocol may promise that it is higher.
    """

    node: NodeId
    incarnation: int


class SuspectsRequest(Message):
    """From a client: asks for the nodes that the receiver suspects."""

    operation: OperationId


class SuspectsReply(Message):
    """The nodes that the sender suspects, in the order of their names."""

    operation: OperationId
    suspects: tuple[NodeId, ...]


class DetectorStatus(Status):
    """Status of a node with a failure detector: its incarnation, and the number of nodes that it suspects."""

    incarnation: int = 0
    suspects: int = 0


class Detector(Node):
    """Base of every failure detector. A protocol calls `suspect` and `trust`, and implements `incarnation_of`.

    Notes: `suspected` and `trusted` (node, incarnation); `mistake` (node, incarnation): a node was suspected in an
    incarnation in which it ran.
    """

    config: DetectorConfig

    incarnation: int = durable(0)
    """The number of this node's present incarnation: 1 after its first start."""

    def on_start(self) -> None:
        self.incarnation += 1
        self.suspected: dict[NodeId, int] = {}
        """The suspected nodes, with the incarnation in which each is suspected."""

    def can_serve(self, running: Collection[NodeId]) -> bool:
        return True  # a node that runs answers by itself

    def incarnation_of(self, peer: NodeId) -> int:
        """Returns the latest incarnation of `peer` that this node has heard of; 0 if none."""
        raise NotImplementedError(f"{type(self).__name__} needs incarnation_of(peer)")

    def suspect(self, node: NodeId, incarnation: int) -> None:
        """Suspects `node` from now on, or suspects it in a later incarnation than before."""
        self.suspected[node] = incarnation
        self.note("suspected", node=node, incarnation=incarnation)
        if self.is_mounted:
            self.tell(Suspected(node, incarnation))

    def trust(self, node: NodeId, incarnation: int) -> None:
        """Ends the suspicion of `node`."""
        del self.suspected[node]
        self.note("trusted", node=node, incarnation=incarnation)
        if self.is_mounted:
            self.tell(Alive(node, incarnation))

    def heard_of(self, node: NodeId, incarnation: int) -> None:
        """Ends the suspicion of `node`, if there is one: it has been heard of in this incarnation."""
        if node in self.suspected:
            if self.suspected[node] == incarnation:
                self.note("mistake", node=node, incarnation=incarnation)
            self.trust(node, incarnation)

    @handles(SuspectsRequest)
    def on_suspects_request(self, sender: NodeId, request: SuspectsRequest) -> None:
        self.send(sender, SuspectsReply(request.operation, tuple(sorted(self.suspected))))

    @property
    def status(self) -> DetectorStatus:
        return DetectorStatus(incarnation=self.incarnation, suspects=len(self.suspected))
