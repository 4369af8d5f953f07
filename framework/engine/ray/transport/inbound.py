"""The receiving end of a connection: unauthenticated (a stranger) at first, then a stream of frames."""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Callable
from typing import Protocol

from framework.engine.ray.transport.frames import LENGTH_SIZE, FrameError, check_length
from framework.engine.ray.transport.handshake import HANDSHAKE_S, MAGIC, NONCE, PROOF, proof

STRANGERS = 64
"""Largest number of unauthenticated connections."""


class Traffic(Protocol):
    """A worker as its transport uses it."""

    def take(self, data: bytes) -> int:
        """Takes the whole frames at the start of `data`; returns their size in bytes. Raises FrameError."""

    @property
    def flooded(self) -> bool:
        """True if so much input waits that reading should stop."""

    def lost(self, peer: str, frames: bytes) -> None:
        """Called with frames that will never reach `peer`."""

    def rejected(self, why: str) -> None:
        """Called when a connection was refused, or closed because of its input."""


class Acceptor(Protocol):
    """The owner of inbound connections."""

    loop: asyncio.AbstractEventLoop
    name: str
    secret: bytes
    strangers: int
    inbound: set[Inbound]
    paused: list[Inbound]

    @property
    def traffic(self) -> Traffic: ...


class Inbound(asyncio.Protocol):
    """A connection that another worker, or a stranger, opened to this one."""

    def __init__(self, mesh: Acceptor) -> None:
        self._mesh = mesh
        self._receive: Callable[[bytes], None] = self._hello
        self._data = bytearray()
        self._needed = 0
        self._opener = ""
        self._nonces = b""
        self._trusted = False
        self._counted = False
        self._deadline: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "abort")
        self._transport = transport  # type: ignore[assignment]
        mesh = self._mesh
        if mesh.strangers >= STRANGERS:
            self._reject(f"more than {STRANGERS} connections that have not proved themselves")
            return
        mesh.inbound.add(self)
        mesh.strangers += 1
        self._counted = True
        self._deadline = mesh.loop.call_later(HANDSHAKE_S, self._reject, f"no proof within {HANDSHAKE_S:g} s")

    def data_received(self, data: bytes) -> None:
        try:
            self._receive(data)
        except FrameError as error:
            self._reject(str(error))

    def connection_lost(self, error: Exception | None) -> None:
        self._settle()
        self._mesh.inbound.discard(self)
        if self._transport is not None and self._data:
            what = "a frame" if self._trusted else "the handshake"
            self._mesh.traffic.rejected(f"{self._opener or 'a stranger'} closed in the middle of {what}")
        self._transport = None

    def abort(self) -> None:
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def _frames(self, data: bytes) -> None:
        """Takes whole frames in place, and keeps the rest until more arrives. This is the hot path."""
        if self._data:
            self._data += data
            if len(self._data) < self._needed:
                return
            data = bytes(self._data)
            self._data.clear()
        taken = self._mesh.traffic.take(data)
        if self._mesh.traffic.flooded and self._transport is not None:
            self._transport.pause_reading()
            self._mesh.paused.append(self)
        if taken < len(data):
            self._data += memoryview(data)[taken:]
            self._needed = self._whole()

    def _whole(self) -> int:
        """Returns the size in bytes of the incomplete frame; 0 if that is not known yet. Raises FrameError."""
        if len(self._data) < LENGTH_SIZE:
            return 0
        length = int.from_bytes(self._data[:LENGTH_SIZE], "little")
        check_length(length, 0)
        return LENGTH_SIZE + length

    def _hello(self, data: bytes) -> None:
        self._data += data
        if not MAGIC.startswith(bytes(self._data[: len(MAGIC)])):
            raise FrameError("a stranger that does not speak the mesh's language")
        names = self._names_said()
        if names is None:
            return
        self._opener, wanted, end = names
        if wanted != self._mesh.name:
            raise FrameError(f"{self._opener} looks for {wanted}; this is {self._mesh.name}")
        if len(self._data) > end:
            raise FrameError(f"{self._opener} said more than its hello")
        own = os.urandom(NONCE)
        self._nonces = bytes(self._data[len(MAGIC) : len(MAGIC) + NONCE]) + own
        self._data.clear()
        self._receive = self._proof
        assert self._transport is not None
        self._transport.write(own)

    def _names_said(self) -> tuple[str, str, int] | None:
        """Returns the opener's name, the name that it expects, and the end of its hello; None while the hello is
        incomplete."""
        data, at = self._data, len(MAGIC) + NONCE
        names = []
        for _ in range(2):
            if len(data) <= at or len(data) < at + 1 + data[at]:
                return None
            names.append(bytes(data[at + 1 : at + 1 + data[at]]))
            at += 1 + data[at]
        try:
            return names[0].decode(), names[1].decode(), at
        except UnicodeDecodeError as error:
            raise FrameError("a hello without names") from error

    def _proof(self, data: bytes) -> None:
        self._data += data
        if len(self._data) < PROOF:
            return
        mesh = self._mesh
        if not hmac.compare_digest(
            bytes(self._data), proof(mesh.secret, b"open", self._opener, mesh.name, self._nonces)
        ):
            raise FrameError(f"one that calls itself {self._opener} does not know the run's secret")
        self._data.clear()
        self._trusted = True
        self._settle()
        self._receive = self._frames
        assert self._transport is not None
        self._transport.write(proof(mesh.secret, b"accept", self._opener, mesh.name, self._nonces))

    def _settle(self) -> None:
        """Stops counting the connection as unauthenticated: it is authenticated, or closed."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._counted:
            self._counted = False
            self._mesh.strangers -= 1

    def _reject(self, why: str) -> None:
        self._settle()
        self._data.clear()
        self._receive = lambda data: None
        self._mesh.inbound.discard(self)
        self._mesh.traffic.rejected(why)
        self.abort()
