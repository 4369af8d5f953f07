"""Outgoing messages of a worker: through the links of the network model, to nodes of this worker or to peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, Protocol

from framework.core.address import Address, is_mount_path, route_to, split_address
from framework.core.errors import PluginError
from framework.core.message import Message, NodeId
from framework.core.random_streams import stream
from framework.core.time import NEVER
from framework.engine.base import Experiment
from framework.engine.ray.transport.frames import HEADER, HEADER_SIZE, LENGTH_SIZE
from framework.engine.ray.transport.mesh import QUEUE_BYTES, Outbox
from framework.engine.ray.worker.setup import Setup
from framework.engine.ray.worker.trace_rows import EventRows
from framework.engine.ray.worker.worker_node import Route, WorkerNode
from framework.engine.shared.network_path import NetworkPath
from framework.engine.tally import Tally
from framework.engine.wire_codec import Wire
from framework.faults.link_faults import LinkFaults
from framework.network.model import Link, Links

_pack = HEADER.pack


class Transport(Protocol):
    """Sends frames to other workers.

    `tick_nodes`: the maximum number of nodes whose batches one tick runs. Their messages leave at its end, so other
    processes can work on them while the next nodes run; but each time costs a write to each peer.
    """

    waiting: list[Any]
    tick_nodes: int

    def peer(self, worker: int) -> Outbox: ...

    def flush(self) -> None: ...

    def resume(self) -> None:
        """Resumes reading, if it had stopped because the worker was flooded."""

    def close(self) -> None: ...


class SendingWorker(Protocol):
    """A worker as `Outgoing` uses it."""

    setup: Setup
    experiment: Experiment
    wire: Wire
    tally: Tally
    rows: EventRows | None
    transport: Transport | None
    nodes: dict[int, WorkerNode]

    def now(self) -> int: ...
    def wake(self, node: WorkerNode) -> None: ...


class Outgoing:
    """The routes out of one worker, and the messages that links hold back.

    `next_at`: the time at which the next of them departs; NEVER if none is held.
    """

    def __init__(self, worker: SendingWorker, index: Mapping[NodeId, int], link_faults: LinkFaults) -> None:
        self._worker, self._index, self._link_faults = worker, index, link_faults
        self._names = worker.experiment.endpoints
        self._wire, self._tried, self._rows = worker.wire, worker.wire.tried, worker.rows
        self._links = Links(worker.experiment.make_network(), worker.experiment.network.name)
        self._path = NetworkPath(self._links, link_faults, worker.tally, worker.wire.names)
        self._delayed: list[tuple[int, int, Route, str, Message, int, int, bytes]] = []
        self._order = 0
        self.next_at = NEVER

    def release(self, now: int) -> None:
        """Sends the messages that the links held until `now`."""
        while self._delayed and self._delayed[0][0] <= now:
            _, _, route, way, message, index, seq, payload = heappop(self._delayed)
            self._depart(route, way, message, index, seq, payload)
        self.next_at = self._delayed[0][0] if self._delayed else NEVER

    def send(self, node: WorkerNode, to: Address, path: str, message: Message, cause: int) -> None:
        """Sends a message. Raises PluginError for one that cannot be sent, or a target that is not in the run."""
        index = self._tried.get(type(message), -1)
        if index < 0:
            index = self._wire.index_of(message, node.node_class)
        route = node.routes.get(to) or self._route(node, to)
        if route.is_direct and self._rows is None and not self._link_faults.active:  # almost always, without a trace
            self._depart(route, path, message, index, -1, self._wire.pack(message, node.node_class))
        else:
            self._send(node, (to,), path, message, index, cause)

    def multicast(self, node: WorkerNode, targets: Sequence[Address], path: str, message: Message, cause: int) -> None:
        """Sends a message to each target, encoded once. Raises PluginError as `send` does."""
        index = self._tried.get(type(message), -1)
        if index < 0:
            index = self._wire.index_of(message, node.node_class)
        self._send(node, targets, path, message, index, cause)

    def _send(
        self, node: WorkerNode, targets: Sequence[Address], path: str, message: Message, index: int, cause: int
    ) -> None:  # fmt: skip
        wire, rows, payload, link_faults, known = self._wire, self._rows, b"", self._link_faults, node.routes.get
        for to in targets:
            route = known(to) or self._route(node, to)
            way = path if route.mount is None else route_to(route.mount, path)
            link = route.link
            if not payload and (route.node is None or rows is not None or link is not None):
                payload = wire.pack(message, node.node_class)
            seq = -1
            if rows is not None:
                operation = wire.operation_of(index, message)
                seq = rows.send(self._worker.now(), cause, node.index, route.target, way, index, payload, operation)
            if link is None and not link_faults.active:
                self._depart(route, way, message, index, seq, payload)
            else:
                self._transmit(node.id, self._names[route.target], route, way, message, index, seq, payload)

    def _route(self, node: WorkerNode, to: Address) -> Route:
        name, mount = split_address(to)
        target = self._index.get(name)
        if target is None or (mount is not None and not is_mount_path(mount)):
            raise PluginError(
                node.node_class.__qualname__, f"{node.id} sends to {to!r:.80}, which is not a node of this run, or a mount of one",
                "Send to self.peers.",
            )  # fmt: skip
        link: Link | None = None
        if mount is not None:  # by the same link as messages to the sender's own mount
            link = (node.routes.get(name) or self._route(node, name)).link
        elif name != node.id and not self._links.model.simulated_only:
            entity = f"{node.id}->{name}" if not node.incarnation else f"{node.id}->{name}#{node.incarnation}"
            link = self._links.link(node.id, name, stream(self._worker.experiment.seed, "link", entity))
        local = self._worker.nodes.get(target)
        assert self._worker.transport is not None
        peer = self._worker.transport.peer(self._worker.setup.worker_of[target]) if local is None else None
        route = node.routes[to] = Route(node.index, target, local, peer, link, mount)
        return route

    def _transmit(
        self, source: NodeId, to: NodeId, route: Route, way: str, message: Message, index: int, seq: int, payload: bytes
    ) -> None:  # fmt: skip
        """Sends through the network's link, then through the faults on it."""
        now = self._worker.now()
        self.release(now)  # earlier messages that are due go first
        arrivals, why = self._path.arrivals(route.link, source, to, now, len(payload), index)
        if not arrivals:
            self.drop(route.source, route.target, way, message, index, seq, len(payload), why)
        for at in arrivals:
            if at <= now:
                self._depart(route, way, message, index, seq, payload)
            else:
                self._order += 1
                heappush(self._delayed, (at, self._order, route, way, message, index, seq, payload))
                self.next_at = self._delayed[0][0]

    def _depart(self, route: Route, way: str, message: Message, index: int, seq: int, payload: bytes) -> None:
        peer = route.peer
        if peer is None:
            node = route.node
            assert node is not None
            if node.drops_input:
                self.drop(route.source, route.target, way, message, index, seq, len(payload), f"{node.id} is down")
            else:
                node.inbox.append((way, route.source, message, index, seq, len(payload)))
                self._worker.wake(node)
            return
        body, way_length = payload, 0
        if way:
            encoded = way.encode()
            body, way_length = encoded + payload, len(encoded)
        size = HEADER_SIZE + len(body)
        if peer.size + size > QUEUE_BYTES and peer.size:
            self.drop(route.source, route.target, way, message, index, seq, len(payload), "queue full")
            return
        head = _pack(size - LENGTH_SIZE, index, route.source, route.target, way_length, seq)
        peer.chunks.extend((head, body))
        peer.size += size
        if not peer.waiting:
            peer.waiting = True
            assert self._worker.transport is not None
            self._worker.transport.waiting.append(peer)

    def drop(
        self, source: int, target: int, way: str, message: Message | None, index: int, seq: int, size: int, why: str
    ) -> None:  # fmt: skip
        """Counts and records a message that will not arrive. `message` is None if it cannot be decoded, or need not
        be."""
        wire = self._worker.wire
        self._worker.tally.drop(wire.names[index])
        if self._worker.rows is not None:
            operation = wire.operation_of(index, message)
            self._worker.rows.drop(self._worker.now(), seq, source, target, way, index, size, why, operation)
