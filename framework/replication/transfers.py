"""Snapshots that travel in chunks (Ongaro's thesis, Figure 5.3; *Paxos Made Live*, §5.5).

One chunk is under way at a time: the receiver says how much it holds, and is sent what follows. A sender finishes the
snapshot that it began with, and its log keeps the entries after that one: a sender that began anew with each newer
snapshot would never end on a slow link. Only a transfer whose receiver has come no further for long is given up.

What a receiver holds is in memory alone until the snapshot is whole; after a restart it asks from the start again.
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
    """A snapshot on its way to one node. Times are nanoseconds of the sender's monotonic clock."""

    snapshot: S
    progressed_at: int
    """When the receiver came further last, or the transfer began."""
    offset: int = 0
    """The receiver holds the bytes before it."""
    furthest: int = 0
    """The highest offset that the receiver has reached; one that restarts begins again at 0."""

    def acknowledge(self, offset: int, now: int) -> bool:
        """The receiver holds the bytes before `offset`: whether it is to be sent what follows.

        It is not if this answers an earlier chunk. At 0 it has lost what it held, and begins again.
        """
        if offset <= self.offset and offset != 0:
            return False
        self.offset = offset
        if offset > self.furthest:
            self.furthest, self.progressed_at = offset, now
        return True

    def chunk(self, size: int) -> bytes:
        """The next bytes, `size` at the most; empty once the receiver holds all."""
        return self.snapshot.state[self.offset : self.offset + size]

    def is_last(self, chunk: bytes) -> bool:
        """Whether `chunk`, the next one, ends the snapshot."""
        return self.offset + len(chunk) == len(self.snapshot.state)

    def is_stalled(self, since: int) -> bool:
        """Whether the receiver has come no further since then."""
        return self.progressed_at < since


@dataclass(slots=True)
class IncomingTransfer:
    """What has come of a snapshot so far. `identity` says which one and whose; chunks of another begin a new transfer."""

    identity: tuple[int | str, ...]
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes held."""

    @classmethod
    def of(cls, identity: tuple[int | str, ...], current: IncomingTransfer | None) -> IncomingTransfer:
        """The `current` transfer if it is the one of that identity, else a new one."""
        return current if current is not None and current.identity == identity else cls(identity)

    def take(self, offset: int, data: bytes) -> bool:
        """Takes the chunk if it follows what is held; whether it did."""
        if offset != self.size:
            return False
        self.chunks.append(data)
        self.size += len(data)
        return True

    def content(self) -> bytes:
        return b"".join(self.chunks)
