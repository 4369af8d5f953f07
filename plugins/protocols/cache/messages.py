"""The messages of the cache: requests of clients, the list of caches, and entries that move."""

from __future__ import annotations

from framework import Message, NodeId, OperationId


class View(Message):
    """The caches from an epoch on. `admitted` has the epoch in which each came; what a cache had before that is out of
    date. `left` are those that leave in this epoch, and hand off their entries."""

    epoch: int
    admitted: tuple[tuple[NodeId, int], ...]
    left: tuple[NodeId, ...] = ()

    @property
    def caches(self) -> tuple[NodeId, ...]:
        return tuple(node for node, _ in self.admitted)

    def admitted_in(self, cache: NodeId) -> int | None:
        """Returns the epoch in which a cache came; None if it is not on the list."""
        return dict(self.admitted).get(cache)


class ViewRequest(Message):
    """A client asks for the list of caches. Any node answers that has one."""


class Get(Message):
    """A client asks the cache that holds a key's shard in this epoch."""

    operation: OperationId
    key: str
    epoch: int


class Put(Message):
    """A client sets a key, at the cache that holds its shard in this epoch."""

    operation: OperationId
    key: str
    value: str
    epoch: int


class Found(Message):
    """The answer to Get: the value, None if it is not here."""

    operation: OperationId
    value: str | None


class Stored(Message):
    """The answer to Put."""

    operation: OperationId


class Change(Message):
    """A client asks the directory to let a cache join or leave."""

    operation: OperationId
    cache: NodeId
    joins: bool


class Changed(Message):
    """The answer to Change: since which epoch it is so, and why not if it cannot be."""

    operation: OperationId
    epoch: int
    refused: str = ""


class ReportRequest(Message):
    """A client asks the directory what changes have moved."""

    operation: OperationId


class Report(Message):
    """The answer: for each epoch (epoch, seconds since the directory started, what happened, entries that moved, that
    stayed, and that were lost with a dead cache, seconds until the last cache had handed off)."""

    operation: OperationId
    changes: tuple[tuple[int, float, str, int, int, int, float], ...]


class Heartbeat(Message):
    """A cache is alive, knows this epoch (0: none), and has so many entries."""

    epoch: int
    entries: int


class Handoff(Message):
    """Entries for the cache that has them from this epoch on."""

    epoch: int
    entries: tuple[tuple[str, str], ...]


class HandedOff(Message):
    """From a cache to the directory: how many entries it has sent away and kept in an epoch."""

    epoch: int
    moved: int
    stayed: int
