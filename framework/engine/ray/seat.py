"""One host's place in a station, and the ways that lead from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from framework.core.clock import Clock
from framework.core.message import Message, NodeId
from framework.core.node_runtime import NodeRuntime
from framework.core.time import NEVER
from framework.load.generator import Assignment
from framework.network.model import Link

if TYPE_CHECKING:
    from framework.engine.base import Seating
    from framework.engine.ray.mesh import Outbox
    from framework.engine.ray.setup import Setup

Envelope: TypeAlias = tuple[str, int, Message, int, int, int]
"""(mount path, index of the sender, message, message index, seq of the send, size in bytes)"""


class Route:
    """The way from one host to another: through a link, to a seat of the same station or to a peer."""

    __slots__ = ("link", "peer", "seat", "source", "target")

    def __init__(
        self, source: int, target: int, seat: HostedNode | None, peer: Outbox | None, link: Link | None
    ) -> None:
        self.source, self.target, self.seat, self.peer, self.link = source, target, seat, peer, link


class HostedNode:
    """Per-node state of a station. `__slots__`: this is the hot path."""

    __slots__ = (
        "class_", "clock", "config", "deaf", "dirty", "durable", "host", "id", "inbox", "incarnation", "index",
        "number", "open", "peers", "queued", "raised", "routes", "spare", "turns",
    )  # fmt: skip

    def __init__(self, index: int, node_id: NodeId, seating: Seating, config: Any) -> None:
        self.index = index  # among all hosts of the run
        self.id = node_id
        self.class_ = class_ = seating.host
        self.config = config
        self.peers = seating.peers
        self.spare = seating.spare
        self.durable = bool(class_._declared or class_.mounts)
        self.incarnation = 0
        self.clock: Clock | None = None  # None: true time
        self.host: NodeRuntime | None = None  # None: not yet started, or down
        self.deaf = False  # whether what arrives is lost; before the start it waits
        self.turns = 0  # crashes and restarts that a fault had told it of
        self.raised = False  # whether no restart brings it back: an exception of its own, damaged storage
        self.inbox: list[Envelope] = []
        self.dirty = False  # whether the next tick looks at it
        self.queued = NEVER  # the wake-up that stands for it in the station's heap
        self.routes: dict[NodeId, Route] = {}
        self.number = -1  # of a client within its crew
        self.open: tuple[Assignment, int] | None = None  # the operation under way, and when it was invoked


def make_seats(setup: Setup, index: Mapping[NodeId, int]) -> dict[int, HostedNode]:
    """The seats of a station by the index of their host."""
    experiment = setup.experiment
    seats: dict[int, HostedNode] = {}
    for number, host in enumerate(setup.hosts):
        seat = HostedNode(index[host], host, experiment.seating(host), experiment.protocol_config)
        if setup.first_client is None:
            seat.incarnation = setup.incarnation
        else:
            seat.number = number
            seat.durable = False
        seats[seat.index] = seat
    return seats
