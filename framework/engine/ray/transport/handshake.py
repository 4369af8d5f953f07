"""The handshake by which two workers prove to each other, before the first frame, that they know the run's secret.

    opener    -> magic, nonce (32), its name, the name it wants
    acceptor  -> nonce (32)
    opener    -> HMAC-SHA256(secret, "open",   both nonces, both names)
    acceptor  -> HMAC-SHA256(secret, "accept", both nonces, both names)

Here are the opener's half and the proofs; the acceptor's half is in `inbound`.

The acceptor reveals nothing useful before the opener's proof; fresh nonces make a replay worthless; the direction in
the proof makes a reflection worthless.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import socket

from framework.engine.ray.transport.frames import FrameError

MAGIC = b"SYN1"
NONCE = PROOF = 32
HANDSHAKE_S = 5.0
"""Time limit of the handshake on both ends."""


def proof(secret: bytes, direction: bytes, opener: str, acceptor: str, nonces: bytes) -> bytes:
    """Returns the bytes by which one end proves that it knows the secret."""
    names = b"".join(len(name.encode()).to_bytes(2, "little") + name.encode() for name in (opener, acceptor))
    return hmac.digest(secret, direction + nonces + names, "sha256")


def hello(opener: str, acceptor: str, nonce: bytes) -> bytes:
    """Returns the opener's first message."""
    names = b"".join(bytes([len(name.encode())]) + name.encode() for name in (opener, acceptor))
    return MAGIC + nonce + names


async def introduce(
    loop: asyncio.AbstractEventLoop, connection: socket.socket, secret: bytes, opener: str, acceptor: str
) -> None:
    """Runs the opener's part. Raises FrameError if the other end does not know the secret, OSError."""
    nonce = os.urandom(NONCE)
    await loop.sock_sendall(connection, hello(opener, acceptor, nonce))
    nonces = nonce + await _exactly(loop, connection, NONCE)
    await loop.sock_sendall(connection, proof(secret, b"open", opener, acceptor, nonces))
    answer = await _exactly(loop, connection, PROOF)
    if not hmac.compare_digest(answer, proof(secret, b"accept", opener, acceptor, nonces)):
        raise FrameError("does not know the run's secret")


async def _exactly(loop: asyncio.AbstractEventLoop, connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await loop.sock_recv(connection, size - len(data))
        if not more:
            raise ConnectionError("closed in the handshake")
        data += more
    return data
