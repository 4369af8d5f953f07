"""The wire format of a message: a header, the route between mounts, the message's bytes.

`worker.outgoing` writes frames and `worker.worker` reads them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from framework.core.address import PATH_BYTES
from framework.engine.wire_codec import MESSAGE_BYTES

HEADER = struct.Struct("<IHHHHq")
"""Number of bytes after the first field; message index; index of the sender, of the receiver; length of the route (see
`framework.core.address`); `seq` of the send."""

HEADER_SIZE = HEADER.size
LENGTH_SIZE = 4
ROUTE_BYTES = 2 * PATH_BYTES + 1
MAX_FRAME = HEADER_SIZE + ROUTE_BYTES + MESSAGE_BYTES
"""Bytes of the longest frame that a worker accepts."""


class FrameError(ValueError):
    """Received bytes are not a frame of this run. The message names the reason."""


def check_length(length: int, route_length: int) -> None:
    """Raises FrameError if no frame can have this length."""
    if length > MAX_FRAME:
        raise FrameError(f"a frame of {length} bytes; the longest allowed has {MAX_FRAME}")
    if length < HEADER_SIZE - LENGTH_SIZE + route_length:
        raise FrameError(f"a frame of {length} bytes is shorter than its header")


def whole_frames(data: bytes) -> Iterator[tuple[int, int, int, str, int, bytes]]:
    """Yields (message index, sender, receiver, route, seq, message bytes) of each whole frame, for unsent frames."""
    at, end = 0, len(data)
    while end - at >= HEADER_SIZE:
        length, message, source, target, route_length, seq = HEADER.unpack_from(data, at)
        body = at + HEADER_SIZE
        at += LENGTH_SIZE + length
        if at <= end:
            route = data[body : body + route_length].decode()
            yield message, source, target, route, seq, data[body + route_length : at]


def from_frame(data: bytes, at: int) -> bytes:
    """Returns the frames of `data` from the one that contains offset `at`; earlier ones have been sent whole."""
    start = 0
    while start < len(data):
        end = start + LENGTH_SIZE + int.from_bytes(data[start : start + LENGTH_SIZE], "little")
        if end > at:
            return data[start:]
        start = end
    return b""
