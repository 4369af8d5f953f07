"""Storage of a node's durable state. One interface; in memory here, SQLite on Ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from framework.core.address import is_within
from framework.core.durable import Change, LogWritten, MapWritten, MountDropped, ScalarSet, Stored
from framework.core.errors import SynodError


class Storage(Protocol):
    """The durable state of one node. `commit` returns once the changes would survive a crash."""

    typed: bool
    """True if `load` returns the committed values themselves; False if it returns msgpack's plain data, which the
    runtime converts to the declared types."""

    def load(self) -> Stored: ...

    def commit(self, changes: Sequence[Change]) -> None: ...


class StorageFailure(SynodError):
    """Signals a commit that did not become durable: the node crashes and the commit is never retried.

    `asked`: True if a fault caused it.
    """

    def __init__(self, why: str, *, asked: bool = False) -> None:
        super().__init__(why)
        self.asked = asked


class StorageDamaged(StorageFailure):
    """Signals that acknowledged state cannot be read back: the node must neither start nor serve it."""


class MemoryStorage:
    """Keeps the committed values themselves, which are immutable. Outlives the node's instance, but not the process."""

    typed = True

    def __init__(self) -> None:
        self._stored: Stored = {}

    def load(self) -> Stored:
        return {path: dict(fields) for path, fields in self._stored.items()}

    def commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            apply_change(self._stored, change)


def apply_change(stored: Stored, change: Change) -> None:
    """Applies one change to `stored`, in place."""
    if type(change) is ScalarSet:
        stored.setdefault(change.path, {})[change.field] = change.value
    elif type(change) is LogWritten:
        fields, first, start = stored.setdefault(change.path, {}), change.first, change.start
        old_first, log = fields.get(change.field, (1, []))
        if old_first < first:
            del log[: first - old_first]
        assert 0 <= start - first <= len(log), (
            f"{change.field}: entries from {start}, but the log ends at {first + len(log) - 1}"
        )
        log[start - first :] = change.entries
        fields[change.field] = (first, log)
    elif type(change) is MapWritten:
        values = stored.setdefault(change.path, {}).setdefault(change.field, {})
        for key in change.deleted:
            values.pop(key, None)
        values.update(change.puts)
    else:
        assert isinstance(change, MountDropped)
        path = change.path
        for gone in [known for known in stored if is_within(known, path)]:
            del stored[gone]
