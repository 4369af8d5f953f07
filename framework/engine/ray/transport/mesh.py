"""The mesh: one TCP connection for each direction between two workers.

A connection carries frames one way, from the worker that opened it, after the handshake. Frames carry no MAC of their
own: an attacker who can alter packets between two machines can alter frames. An invalid frame closes its connection and
is reported, and the run goes on.

All buffers are bounded: frames have a maximum length, the queue to a peer that does not read is limited to
`QUEUE_BYTES`, and at most `inbound.STRANGERS` connections are unauthenticated, each for `HANDSHAKE_S`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any, Protocol

from framework.engine.ray.transport.frames import FrameError, from_frame
from framework.engine.ray.transport.handshake import HANDSHAKE_S, introduce
from framework.engine.ray.transport.inbound import Inbound, Traffic

QUEUE_BYTES = 32 << 20
BACKOFF_S = (0.01, 0.5)
"""Delay after a failed attempt to connect: doubles from the first value to the second."""

PeerAddress = tuple[str, int]


class Outbox(Protocol):
    """The queue to one peer. To send, append to `chunks`, add to `size`, and put it into the transport's `waiting`."""

    chunks: list[bytes]
    size: int
    waiting: bool


class Mesh:
    """The connections of the worker `name`. Runs in the thread of its loop."""

    tick_nodes = 256

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, secret: bytes, traffic: Traffic) -> None:
        self.loop, self.name, self.secret, self.traffic = loop, name, secret, traffic
        self.waiting: list[Peer] = []
        self.strangers = 0
        self.inbound: set[Inbound] = set()
        self.paused: list[Inbound] = []
        self._peers: dict[int, Peer] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, host: str) -> PeerAddress:
        """Starts to accept connections on a free port of `host`; returns the address."""
        self._server = await self.loop.create_server(lambda: Inbound(self), host, 0, backlog=256)
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    def peer(self, worker: int) -> Peer:
        """Returns the peer for a worker, which may not be known yet."""
        found = self._peers.get(worker)
        if found is None:
            found = self._peers[worker] = Peer(self)
        return found

    def learn(self, worker: int, name: str, address: PeerAddress) -> None:
        """Sets the worker's present name and address."""
        self.peer(worker).move(name, address)

    def flush(self) -> None:
        """Sends all waiting frames, one write per connection."""
        waiting, self.waiting = self.waiting, []
        for peer in waiting:
            peer.waiting = False
            peer.flush()

    def resume(self) -> None:
        """Resumes reading from the connections that had stopped because the worker was flooded."""
        paused, self.paused = self.paused, []
        for inbound in paused:
            inbound.resume()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine in the background."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def connect_all(self) -> None:
        """Opens connections to all known workers."""
        await asyncio.gather(*(peer.connect() for peer in self._peers.values() if peer.idle))

    def close(self) -> None:
        """Closes every connection. Nothing is reported afterwards."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        for inbound in list(self.inbound):
            inbound.abort()
        for peer in self._peers.values():
            peer.close()


class Peer:
    """The connection that this worker opens to another."""

    __slots__ = (
        "_address", "_backoff", "_leaving", "_mesh", "_name", "_retry_at", "_sent", "_socket", "_state",
        "chunks", "size", "waiting",
    )  # fmt: skip

    def __init__(self, mesh: Mesh) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.waiting = False
        self._mesh = mesh
        self._name = ""
        self._address: PeerAddress | None = None
        self._state = "idle"  # idle, connecting, open, blocked
        self._socket: socket.socket | None = None
        self._leaving = b""  # frames that the kernel has not taken completely
        self._sent = 0  # bytes of them that it has taken
        self._backoff = 0.0
        self._retry_at = 0.0

    @property
    def idle(self) -> bool:
        return self._state == "idle" and self._address is not None

    def move(self, name: str, address: PeerAddress) -> None:
        self.close()
        self._name, self._address = name, address
        self._backoff = self._retry_at = 0.0

    def flush(self) -> None:
        """Hands waiting frames to the kernel if the connection is open; opens the connection if there is none."""
        if self._state == "open":
            self._leaving, self._sent = b"".join(self.chunks), 0
            self.chunks.clear()
            self._write(self._leaving)
        elif self._state == "idle":
            if self._address is None or self._mesh.loop.time() < self._retry_at:
                self._lose()
            else:
                self._state = "connecting"
                self._mesh.spawn(self._open())

    async def connect(self) -> None:
        """Opens the connection now."""
        if self.idle:
            self._state = "connecting"
            await self._open()

    def close(self) -> None:
        """Closes the connection; waiting frames are lost."""
        if self._socket is not None:
            if self._state in ("open", "blocked"):
                self._mesh.loop.remove_reader(self._socket)
                self._mesh.loop.remove_writer(self._socket)
            self._socket.close()
        self._socket, self._state = None, "idle"
        self._lose()

    def _write(self, data: bytes | memoryview) -> None:
        assert self._socket is not None
        try:
            sent = self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._broken()
            return
        self.size -= sent
        self._sent += sent
        if self._state == "open" and sent < len(data):
            self._state = "blocked"
            self._mesh.loop.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        assert self._socket is not None
        self._write(memoryview(self._leaving)[self._sent :])
        if self._state == "blocked" and self._sent == len(self._leaving):
            self._mesh.loop.remove_writer(self._socket)
            self._state = "open"
            if self.chunks:
                self.flush()

    def _readable(self) -> None:
        """Handles the end of the connection. Input on it is an error."""
        assert self._socket is not None
        try:
            came = self._socket.recv(1)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            came = b""
        if came:
            self._mesh.traffic.rejected(f"{self._name} wrote on a connection that it only reads")
        self._broken()

    def _broken(self) -> None:
        self._wait_longer()
        self.close()

    def _wait_longer(self) -> None:
        self._backoff = min(max(2 * self._backoff, BACKOFF_S[0]), BACKOFF_S[1])
        self._retry_at = self._mesh.loop.time() + self._backoff

    def _lose(self) -> None:
        """Reports waiting and partly sent frames as lost."""
        frames = from_frame(self._leaving, self._sent) + b"".join(self.chunks)
        self.chunks.clear()
        self._leaving, self._sent, self.size = b"", 0, 0
        if frames:
            self._mesh.traffic.lost(self._name, frames)

    async def _open(self) -> None:
        address, name, loop = self._address, self._name, self._mesh.loop
        assert address is not None
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await loop.sock_connect(sock, address)
                await introduce(loop, sock, self._mesh.secret, self._mesh.name, name)
        except (OSError, TimeoutError, FrameError) as error:
            sock.close()
            if self._address == address:
                if isinstance(error, FrameError):
                    self._mesh.traffic.rejected(f"{name} at {address[0]}:{address[1]}: {error}")
                self._state = "idle"
                self._wait_longer()
                self._lose()
            return
        if self._address != address or self._state != "connecting":  # it moved meanwhile
            sock.close()
            return
        self._socket, self._state, self._backoff = sock, "open", 0.0
        loop.add_reader(sock, self._readable)
        self.flush()
