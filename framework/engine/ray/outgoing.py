"""What leaves a station's hosts: through the links of the network model, to seats here or to peers elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Protocol

from framework.core.errors import PluginError
from framework.core.message import Message, NodeId
from framework.core.random_streams import stream
from framework.core.time import NEVER
from framework.engine.ray.frames import HEADER, HEADER_SIZE, LENGTH_SIZE
from framework.engine.ray.mesh import QUEUE_BYTES, Outbox
from framework.engine.ray.seat import HostedNode, Route
from framework.network.model import Link, Links

if TYPE_CHECKING:
    from framework.engine.ray.residents import Residents

_pack = HEADER.pack


class Transport(Protocol):
    """How frames leave for other stations."""

    waiting: list[Any]

    def peer(self, station: int) -> Outbox: ...

    def flush(self) -> None: ...

    def resume(self) -> None:
        """Reads on, if it had stopped because the station was flooded."""

    def close(self) -> None: ...


class Outgoing:
    """The ways out of one station, and the messages that a link holds back."""

    def __init__(self, station: Residents, index: Mapping[NodeId, int]) -> None:
        self._station, self._index = station, index
        self._weather = station.troubles.weather
        self._links = Links(station.experiment.make_network(), station.experiment.network.name)
        self._delayed: list[tuple[int, int, Route, str, Message, int, int, bytes]] = []
        self._order = 0

    @property
    def next_at(self) -> int:
        """When the next held message departs."""
        return self._delayed[0][0] if self._delayed else NEVER

    def release(self, now: int) -> None:
        """Lets go what the links held until now."""
        while self._delayed and self._delayed[0][0] <= now:
            _, _, route, path, message, index, seq, payload = heappop(self._delayed)
            self._depart(route, path, message, index, seq, payload)

    def send(self, seat: HostedNode, targets: tuple[NodeId, ...], path: str, message: Message, cause: int) -> None:
        """One message to each target, encoded once. PluginError for a message that cannot be sent, or a
        target that the run does not know."""
        wire = self._station.wire
        index = wire.tried.get(type(message), -1)
        if index < 0:
            index = wire.index_of(message, seat.class_)
        routes, rows, payload, weather = seat.routes, self._station.rows, b"", self._weather
        for to in targets:
            route = routes.get(to) or self._route(seat, to)
            link = route.link
            if not payload and (route.seat is None or rows is not None or link is not None):
                payload = wire.pack(message, seat.class_)
            seq = -1
            if rows is not None:
                operation = wire.operation_of(index, message)
                seq = rows.send(self._station.now(), cause, seat.index, route.target, path, index, payload, operation)
            if link is None and not weather.active:
                self._depart(route, path, message, index, seq, payload)
            else:
                self._transmit(seat.id, to, route, path, message, index, seq, payload)

    def _route(self, seat: HostedNode, to: NodeId) -> Route:
        target = self._index.get(to)
        if target is None:
            raise PluginError(
                seat.class_.__qualname__, f"{seat.id} sends to {to!r}, which is not a node of this run",
                "Send to self.peers.",
            )  # fmt: skip
        link: Link | None = None
        if to != seat.id and not self._links.model.simulated_only:
            name = f"{seat.id}->{to}" if not seat.incarnation else f"{seat.id}->{to}#{seat.incarnation}"
            link = self._links.link(seat.id, to, stream(self._station.experiment.seed, "link", name))
        local = self._station.seats.get(target)
        assert self._station.transport is not None
        peer = self._station.transport.peer(self._station.setup.station_of[target]) if local is None else None
        route = seat.routes[to] = Route(seat.index, target, local, peer, link)
        return route

    def _transmit(
        self, source: NodeId, to: NodeId, route: Route, path: str, message: Message, index: int, seq: int, payload: bytes
    ) -> None:  # fmt: skip
        """Through the network's link, then through the weather on it."""
        now, link, weather = self._station.now(), route.link, self._weather
        self.release(now)  # what was sent earlier and is due goes first
        if link is None:
            arrivals: tuple[int, ...] = (now,)
        else:
            arrivals = (now + link.constant,) if link.constant >= 0 else self._links.transmit(link, now, len(payload))
        if weather.active and arrivals:
            arrivals = weather.transmit((source, to), now, arrivals)
        if not arrivals:
            why = "cut" if weather.active and weather.cut((source, to)) else "lost"
            self.drop(route.source, route.target, path, message, index, seq, len(payload), why)
        elif len(arrivals) > 1:
            self._count_copies(index, len(arrivals) - 1)
        for at in arrivals:
            if at <= now:
                self._depart(route, path, message, index, seq, payload)
            else:
                self._order += 1
                heappush(self._delayed, (at, self._order, route, path, message, index, seq, payload))

    def _depart(self, route: Route, path: str, message: Message, index: int, seq: int, payload: bytes) -> None:
        peer = route.peer
        if peer is None:
            seat = route.seat
            assert seat is not None
            if seat.deaf:
                self.drop(route.source, route.target, path, message, index, seq, len(payload), f"{seat.id} is down")
            else:
                seat.inbox.append((path, route.source, message, index, seq, len(payload)))
                self._station.wake(seat)
            return
        mount = path.encode() if path else b""
        size = HEADER_SIZE + len(mount) + len(payload)
        if peer.size and peer.size + size > QUEUE_BYTES:
            self.drop(route.source, route.target, path, message, index, seq, len(payload), "queue full")
            return
        head = _pack(size - LENGTH_SIZE, index, route.source, route.target, len(mount), seq)
        peer.chunks.append(head + mount if mount else head)
        peer.chunks.append(payload)
        peer.size += size
        if not peer.waiting:
            peer.waiting = True
            assert self._station.transport is not None
            self._station.transport.waiting.append(peer)

    def _count_copies(self, index: int, copies: int) -> None:
        name, duplicated = self._station.wire.names[index], self._station.tally.duplicated
        duplicated[name] = duplicated.get(name, 0) + copies

    def drop(
        self, source: int, target: int, path: str, message: Message | None, index: int, seq: int, size: int, why: str
    ) -> None:  # fmt: skip
        """Counts and records a message that will not arrive; None for one that cannot be decoded, or need not be."""
        wire = self._station.wire
        name = wire.names[index]
        self._station.tally.dropped[name] = self._station.tally.dropped.get(name, 0) + 1
        if self._station.rows is not None:
            operation = wire.operation_of(index, message)
            self._station.rows.drop(self._station.now(), seq, source, target, path, index, size, why, operation)
