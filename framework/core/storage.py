"""Storage: where a node's durable changes go. One interface; in memory here, SQLite on Ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from framework.core.durable import Change, LogWritten, MapWritten, MountDropped, ScalarSet, Stored
from framework.core.errors import SynodError


class Storage(Protocol):
    """Durable state of one node. `commit` returns once the changes would survive a crash."""

    typed: bool
    """True if `load` gives back the very values that were committed; False if it gives msgpack's plain data,
    which the runtime converts to the declared types."""

    def load(self) -> Stored: ...

    def commit(self, changes: Sequence[Change]) -> None: ...


class StorageFailure(SynodError):
    """A commit that did not become durable: the node crashes and the commit is never tried again. `asked`: a fault's doing."""

    def __init__(self, why: str, *, asked: bool = False) -> None:
        super().__init__(why)
        self.asked = asked


class StorageDamaged(StorageFailure):
    """What was acknowledged cannot be read back: the node must not start, and never serves it."""


class MemoryStorage:
    """Keeps the committed values themselves: they are immutable. Outlives the node's instance, not the process."""

    typed = True

    def __init__(self) -> None:
        self._stored: Stored = {}

    def load(self) -> Stored:
        return {path: dict(fields) for path, fields in self._stored.items()}

    def commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            apply_change(self._stored, change)


def apply_change(stored: Stored, change: Change) -> None:
    """Brings `stored` up to date with one change, in place."""
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
        for gone in [known for known in stored if known == path or known.startswith(path + "/")]:
            del stored[gone]
