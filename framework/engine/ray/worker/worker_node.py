"""A node of a worker, and its routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from framework.core.address import Address
from framework.core.message import Message, NodeId
from framework.core.time import NEVER
from framework.engine.base import EndpointSpec
from framework.engine.ray.transport.mesh import Outbox
from framework.engine.ray.worker.setup import Setup
from framework.engine.shared.node_life import HostedNode
from framework.network.model import Link

Envelope: TypeAlias = tuple[str, int, Message, int, int, int]
"""(route between mounts, index of the sender, message, message index, seq of the send, size in bytes)"""


class Route:
    """The route from one endpoint to an address: through a link, to a node of the same worker or to a peer.

    `mount` is the receiver's mount path; None: the same as the sender's. `is_direct`: only link faults stand between
    the sender and the peer.
    """

    __slots__ = ("is_direct", "link", "mount", "node", "peer", "source", "target")

    def __init__(
        self, source: int, target: int, node: WorkerNode | None, peer: Outbox | None, link: Link | None, mount: str | None
    ) -> None:  # fmt: skip
        self.source, self.target, self.node, self.peer, self.link = source, target, node, peer, link
        self.mount = mount
        self.is_direct = peer is not None and link is None and mount is None


class WorkerNode(HostedNode):
    """Per-node state of a worker. `__slots__`: this is the hot path."""

    __slots__ = ("dirty", "drops_input", "inbox", "queued", "routes", "turns", "wake_at")

    def __init__(self, index: int, node_id: NodeId, endpoint: EndpointSpec) -> None:
        super().__init__(index, node_id, endpoint)
        self.drops_input = False  # whether arriving messages are lost; before the first start they wait
        self.turns = 0  # crashes and restarts ordered by faults
        self.inbox: list[Envelope] = []
        self.dirty = False  # whether the next tick handles it
        self.forget_wake_up()
        self.routes: dict[Address, Route] = {}

    def forget_wake_up(self) -> None:
        """Makes its wake-up in the worker's heap invalid."""
        self.queued = NEVER  # the time of the wake-up
        self.wake_at = NEVER  # the same by the node's clock


def make_worker_nodes(setup: Setup, index: Mapping[NodeId, int]) -> dict[int, WorkerNode]:
    """Returns the nodes of a worker by their index among all endpoints."""
    experiment = setup.experiment
    nodes: dict[int, WorkerNode] = {}
    for number, name in enumerate(setup.endpoints):
        node = WorkerNode(index[name], name, experiment.endpoint(name))
        if setup.first_client is None:
            node.incarnation = setup.incarnation
        else:
            node.client = number
        nodes[node.index] = node
    return nodes
