"""One host's place in a worker, and the ways that lead from it."""

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
    from framework.engine.base import EndpointSpec
    from framework.engine.ray.transport.mesh import Outbox
    from framework.engine.ray.worker.setup import Setup

Envelope: TypeAlias = tuple[str, int, Message, int, int, int]
"""(mount path, index of the sender, message, message index, seq of the send, size in bytes)"""


class Route:
    """The way from one host to another: through a link, to a hosted of the same worker or to a peer."""

    __slots__ = ("hosted", "link", "peer", "source", "target")

    def __init__(
        self, source: int, target: int, hosted: WorkerNode | None, peer: Outbox | None, link: Link | None
    ) -> None:
        self.source, self.target, self.hosted, self.peer, self.link = source, target, hosted, peer, link


class WorkerNode:
    """Per-node state of a worker. `__slots__`: this is the hot path."""

    __slots__ = (
        "clock",
        "config",
        "dirty",
        "drops_input",
        "durable",
        "id",
        "inbox",
        "incarnation",
        "index",
        "node_class",
        "number",
        "open",
        "peers",
        "queued",
        "raised",
        "routes",
        "runtime",
        "spare",
        "turns",
    )  # fmt: skip

    def __init__(self, index: int, node_id: NodeId, endpoint: EndpointSpec, config: Any) -> None:
        self.index = index  # among all endpoints of the run
        self.id = node_id
        self.node_class = node_class = endpoint.node_class
        self.config = config
        self.peers = endpoint.peers
        self.spare = endpoint.spare
        self.durable = bool(node_class._declared or node_class.mounts)
        self.incarnation = 0
        self.clock: Clock | None = None  # None: true time
        self.runtime: NodeRuntime | None = None  # None: not yet started, or down
        self.drops_input = False  # whether what arrives is lost; before the start it waits
        self.turns = 0  # crashes and restarts that a fault had told it of
        self.raised = False  # whether no restart brings it back: an exception of its own, damaged storage
        self.inbox: list[Envelope] = []
        self.dirty = False  # whether the next tick looks at it
        self.queued = NEVER  # the wake-up that stands for it in the worker's heap
        self.routes: dict[NodeId, Route] = {}
        self.number = -1  # of a client within its clients
        self.open: tuple[Assignment, int] | None = None  # the operation under way, and when it was invoked


def make_worker_nodes(setup: Setup, index: Mapping[NodeId, int]) -> dict[int, WorkerNode]:
    """The hosted_nodes of a worker by the index of their host."""
    experiment = setup.experiment
    hosted_nodes: dict[int, WorkerNode] = {}
    for number, host in enumerate(setup.endpoints):
        hosted = WorkerNode(index[host], host, experiment.endpoint(host), experiment.protocol_config)
        if setup.first_client is None:
            hosted.incarnation = setup.incarnation
        else:
            hosted.number = number
            hosted.durable = False
        hosted_nodes[hosted.index] = hosted
    return hosted_nodes
