"""Snapshot transfers in chunks (Ongaro's thesis, Figure 5.3; *Paxos Made Live*, §5.5).

One chunk is under way at a time: the receiver acknowledges how much it holds, and is sent the next chunk. A sender
finishes the snapshot that it began with, and its log keeps the entries after that snapshot: on a slow link, a sender
that switched to every newer snapshot would never finish. A transfer is given up only if its receiver has made no
progress for a long time.

The receiver holds chunks only in memory until the snapshot is complete; after a restart the transfer starts over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class HasState(Protocol):
    """A snapshot of any protocol."""

    @property
    def state(self) -> bytes: ...


S = TypeVar("S", bound=HasState)


@dataclass(slots=True)
class OutgoingTransfer(Generic[S]):
    """A snapshot being sent to one node. Times are nanoseconds on the sender's monotonic clock."""

    snapshot: S
    progressed_at: int
    """The time of the receiver's last progress, or of the start of the transfer."""
    offset: int = 0
    """The number of bytes that the receiver holds."""
    furthest: int = 0
    """The highest offset that the receiver has reached; a restarted receiver begins again at 0."""

    def acknowledge(self, offset: int, now: int) -> bool:
        """Records that the receiver holds the bytes before `offset`. Returns whether to send it the next chunk.

        False if this answers an earlier chunk. At 0 the receiver has lost everything, and the transfer starts over.
        """
        if offset <= self.offset and offset != 0:
            return False
        self.offset = offset
        if offset > self.furthest:
            self.furthest, self.progressed_at = offset, now
        return True

    def chunk(self, size: int) -> bytes:
        """Returns the next chunk, at most `size` bytes; empty once the receiver holds everything."""
        return self.snapshot.state[self.offset : self.offset + size]

    def is_last(self, chunk: bytes) -> bool:
        """Returns whether `chunk`, the next one, ends the snapshot."""
        return self.offset + len(chunk) == len(self.snapshot.state)

    def is_stalled(self, since: int) -> bool:
        """Returns whether the receiver has made no progress since the time `since`."""
        return self.progressed_at < since


@dataclass(slots=True)
class IncomingTransfer:
    """The part of a snapshot received so far.

    `identity` names the snapshot and its sender; chunks of a different identity begin a new transfer.
    """

    identity: tuple[int | str, ...]
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes held."""

    @classmethod
    def of(cls, identity: tuple[int | str, ...], current: IncomingTransfer | None) -> IncomingTransfer:
        """Returns `current` if it has that identity, else a new transfer."""
        return current if current is not None and current.identity == identity else cls(identity)

    def take(self, offset: int, data: bytes) -> bool:
        """Takes the chunk if it continues the bytes held. Returns whether it did."""
        if offset != self.size:
            return False
        self.chunks.append(data)
        self.size += len(data)
        return True

    def content(self) -> bytes:
        return b"".join(self.chunks)
