"""Durable fields: state that survives a crash is declared, and only its increments are written.

    class Raft(Node):
        term: int = durable(0)
        log: DurableLog[Entry] = durable_log(Entry)
        members: DurableMap[NodeId, str] = durable_map(str, str)

A field that is set marks itself. At the end of a batch, a marked scalar is compared with its committed value; a log knows
the lowest index that changed; a map knows the keys that changed. A storage commits `Change`s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeAlias, TypeVar, cast

import msgspec

from framework.core.errors import PluginError
from framework.core.message import Record

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

ATOMS = (bool, int, float, str, bytes, type(None))

SCALAR, LOG, MAP = "scalar", "log", "map"
"""The kinds of durable field."""


class ScalarSet(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="scalar"):
    """The new value of a scalar."""

    path: str
    field: str
    value: Any


class LogWritten(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="log"):
    """The changes of a log: the entries below `first` are gone, and those from `start` on are `entries`."""

    path: str
    field: str
    first: int
    start: int
    entries: Sequence[Any]


class MapWritten(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="map"):
    """The changes of a map: keys deleted first, and pairs put afterwards. A key may be in both."""

    path: str
    field: str
    puts: Sequence[tuple[Any, Any]]
    deleted: Sequence[Any]


class MountDropped(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="drop"):
    """The removal of the mount `path` and of all mounts below it."""

    path: str


Change: TypeAlias = ScalarSet | LogWritten | MapWritten | MountDropped
"""One increment of durable state; `path` is that of the mount, "" for the node itself."""

Stored: TypeAlias = dict[str, dict[str, Any]]
"""The content of a storage: path -> field -> value; a log is `(first, [entries])`, a map is a dict."""


class DurableField:
    """The placeholder that `durable`, `durable_log` and `durable_map` leave in the class body."""

    def __init__(self, kind: str, default: Any, *types: type, lazy: bool = False) -> None:
        self.kind, self.default, self.types, self.is_lazy = kind, default, types, lazy

    def restored(self, stored: dict[str, Any], name: str) -> Any:
        """Returns the initial value of the field `name`, given the stored fields of its node."""
        if self.kind is LOG:
            return DurableLog(*stored.get(name, ()))
        if self.kind is MAP:
            return DurableMap(stored.get(name))
        return stored.get(name, self.default)


class DurableScalar:
    """The descriptor of a durable scalar in its node class. Reading bypasses it; a new value marks the field."""

    __slots__ = ("dirty", "name")

    def __init__(self, name: str, *, is_lazy: bool) -> None:
        self.name, self.dirty = name, "lazy" if is_lazy else "dirty"

    def __set__(self, node: Any, value: Any) -> None:
        values = node.__dict__
        if values[self.name] is not value:
            values[self.name] = value
            getattr(node._runtime, self.dirty)[node, self.name] = None


class DurableCollection:
    """The descriptor of a durable log or map in its node class. Reading bypasses it."""

    __slots__ = ("kind", "name")

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind

    def __set__(self, node: Any, value: Any) -> None:
        raise PluginError(
            f"{type(node).__qualname__}.{self.name}",
            f"a durable {self.kind} cannot be replaced",
            "Change it in place: truncate, append, set, delete.",
        )


def durable(default: T, *, lazy: bool = False) -> T:
    """Declares a field that survives a crash. Its values are immutable: scalars, tuples, frozensets, Records.

    A change of a `lazy` field causes no commit and delays no effect: it is written with the node's next commit that
    another change causes, and a crash before that loses it.
    """
    return cast(T, DurableField(SCALAR, default, lazy=lazy))


def durable_log(entry: type[T], *, lazy: bool = False) -> DurableLog[T]:
    """Declares a log of `entry` values that survives a crash. `lazy`: as for `durable`."""
    return cast("DurableLog[T]", DurableField(LOG, None, entry, lazy=lazy))


def durable_map(key: type[K], value: type[V], *, lazy: bool = False) -> DurableMap[K, V]:
    """Declares a mapping that survives a crash. Keys are scalars, values are immutable. `lazy`: as for `durable`."""
    return cast("DurableMap[K, V]", DurableField(MAP, None, key, value, lazy=lazy))


def check_immutable(value: object, where: str) -> None:
    """Raises PluginError unless `value` is a scalar, or a tuple, frozenset or Record of such values."""
    if isinstance(value, ATOMS):
        return
    if isinstance(value, (tuple, frozenset)):
        for item in value:
            check_immutable(item, where)
        return
    if isinstance(value, Record) and value.__struct_config__.frozen:
        for name in value.__struct_fields__:
            check_immutable(getattr(value, name), f"{where}.{name}")
        return
    remedy: dict[type, str] = {
        list: "Use a tuple, or durable_log(Entry).",
        dict: "Use durable_map(K, V).",
        set: "Use a frozenset.",
    }
    raise PluginError(
        where,
        f"a durable field cannot hold a {type(value).__name__}",
        remedy.get(type(value), "Use an immutable value."),
    )


class DurableLog(Generic[T]):
    """A log indexed from 1. `first` is the lowest index still held (above 1 after `compact`), `last` the highest.

    An empty log has `last == first - 1`.
    """

    __slots__ = ("_dirty", "_entries", "_touch", "cuts", "first", "last")

    def __init__(self, first: int = 1, entries: Iterable[T] = ()) -> None:
        self._entries: list[T] = list(entries)
        self.first = first
        self.last = first + len(self._entries) - 1
        self.cuts = 0  # counts truncations and replacements: while unchanged, the log has only grown at its end
        self._dirty = -1  # the lowest index changed since the last commit; -1: none
        self._touch: Callable[[], None] | None = None  # called at the first change since then

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[T]:
        return iter(self._entries)

    def __getitem__(self, index: int) -> T:
        """Returns the entry at `index`. Raises IndexError outside `first..last`."""
        if not self.first <= index <= self.last:
            raise IndexError(f"index {index}: the log holds {self.first}..{self.last}")
        return self._entries[index - self.first]

    def slice(self, start: int, stop: int) -> tuple[T, ...]:
        """Returns the entries from `start` up to, but excluding, `stop`; indices past `last` are left out.

        Raises IndexError if `start` was compacted away.
        """
        if start < self.first:
            raise IndexError(f"index {start}: the log holds {self.first}..{self.last}")
        return tuple(self._entries[start - self.first : max(stop - self.first, 0)])

    def append(self, entry: T) -> int:
        """Appends `entry` and returns its index."""
        self._entries.append(entry)
        self.last = index = self.last + 1
        if self._dirty < 0:
            self._first_changed(index)
        return index

    def extend(self, entries: Iterable[T]) -> None:
        """Appends `entries` in order. Writes nothing if there are none."""
        start = self.last + 1
        self._entries.extend(tuple(entries))
        self.last = self.first + len(self._entries) - 1
        if self._dirty < 0 and self.last >= start:
            self._first_changed(start)

    def replace(self, start: int, entries: Sequence[T]) -> None:
        """Overwrites the entries from `start` on with `entries`, and keeps those after them. The log grows if they
        reach past its end. Everything from `start` on is written again. Raises IndexError outside `first..last + 1`."""
        if not self.first <= start <= self.last + 1:
            raise IndexError(f"replace({start}): the log holds {self.first}..{self.last}")
        if not entries:
            return
        if start <= self.last:
            self.cuts += 1
        offset = start - self.first
        self._entries[offset : offset + len(entries)] = entries
        self.last = self.first + len(self._entries) - 1
        self._changed(start)

    def truncate(self, start: int) -> None:
        """Removes the entries from `start` on; `last + 1` removes none. Raises IndexError outside `first..last + 1`."""
        if not self.first <= start <= self.last + 1:
            raise IndexError(f"truncate({start}): the log holds {self.first}..{self.last}")
        if start > self.last:
            return
        del self._entries[start - self.first :]
        self.last = start - 1
        self.cuts += 1
        self._changed(start)

    def compact(self, upto: int) -> None:
        """Discards the entries up to and including `upto`. If it lies past `last`, the log is empty behind it."""
        if upto < self.first:
            return
        if self._dirty < 0:
            self._first_changed(max(self.last + 1, upto + 1))
        del self._entries[: upto + 1 - self.first]
        self.first = upto + 1
        self.last = max(self.last, upto)
        self._dirty = max(self._dirty, self.first)

    def _changed(self, start: int) -> None:
        """Marks the entries from `start` on as changed."""
        if self._dirty < 0:
            self._first_changed(start)
        else:
            self._dirty = min(self._dirty, start)

    def _first_changed(self, start: int) -> None:
        """Does so for the first time since the last commit, and marks the field."""
        self._dirty = start
        if self._touch is not None:
            self._touch()

    def change(self) -> tuple[int, int, tuple[T, ...]] | None:
        """Returns `(first, start, entries)` as written since the last call, or None. For engines, not for protocols."""
        if self._dirty < 0:
            return None
        start, self._dirty = self._dirty, -1
        return self.first, start, tuple(self._entries[start - self.first :])

    def copy(self) -> DurableLog[T]:
        twin = DurableLog(self.first, self._entries)
        twin.cuts = self.cuts
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        return DurableLog, (self.first, self._entries)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DurableLog):
            return NotImplemented
        return self.first == other.first and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"DurableLog({self.first}..{self.last})"


class DurableMap(Generic[K, V]):
    """A mapping whose changes survive a crash: set, update, delete, read, iterate (in order of first insertion)."""

    __slots__ = ("_dirty", "_latest", "_touch", "_values", "writes")

    def __init__(self, values: dict[K, V] | None = None) -> None:
        self.writes = 0  # counts sets and deletions: while unchanged, so is the map
        self._values: dict[K, V] = dict(values or {})
        self._latest: dict[K, None] = {}  # the keys that were set, the most recent last
        self._dirty: dict[K, bool] = {}  # key -> whether it was deleted since the last commit, newest insertion last
        self._touch: Callable[[], None] | None = None  # called at the first change since then

    def __getitem__(self, key: K) -> V:
        return self._values[key]

    def get(self, key: K, default: V | None = None) -> V | None:
        return self._values.get(key, default)

    def __setitem__(self, key: K, value: V) -> None:
        if not self._dirty and self._touch is not None:
            self._touch()
        if key in self._values:
            self._dirty.setdefault(key, False)
        else:
            self._dirty[key] = self._dirty.pop(key, False)
        self._values[key] = value
        self.writes += 1
        self._latest.pop(key, None)
        self._latest[key] = None

    def update(self, values: Mapping[K, V]) -> None:
        """Sets each of `values`, in order. Cheap if all keys are new."""
        if not (self._values.keys().isdisjoint(values) and self._dirty.keys().isdisjoint(values)):
            for key, value in values.items():
                self[key] = value
            return
        if values and not self._dirty and self._touch is not None:
            self._touch()
        self._values.update(values)
        self._dirty.update(dict.fromkeys(values, False))
        self._latest.update(dict.fromkeys(values))
        self.writes += len(values)

    def __delitem__(self, key: K) -> None:
        del self._values[key]
        if not self._dirty and self._touch is not None:
            self._touch()
        self._dirty[key] = True
        self.writes += 1
        self._latest.pop(key, None)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def items(self) -> Iterable[tuple[K, V]]:
        return self._values.items()

    def latest(self, writes: int) -> Iterator[K]:
        """Yields the keys set by the last `writes` writes and not deleted since, the newest first; older keys may
        follow.

        For invariants, which look only at new keys: `latest(map.writes - seen)`.
        """
        return islice(reversed(self._latest), writes)

    def change(self) -> tuple[tuple[tuple[K, V], ...], tuple[K, ...]] | None:
        """Returns `(puts, deleted keys)` since the last call, or None. A key deleted and set again is in both.

        Applying the deletions first reproduces the order of iteration. For engines, not for protocols.
        """
        if not self._dirty:
            return None
        keys, self._dirty = self._dirty, {}
        puts = tuple((key, self._values[key]) for key in keys if key in self._values)
        return puts, tuple(key for key, deleted in keys.items() if deleted)

    def copy(self) -> DurableMap[K, V]:
        twin = DurableMap(self._values)
        twin.writes, twin._latest = self.writes, dict(self._latest)
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        return DurableMap, (self._values,)

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if isinstance(other, DurableMap) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"DurableMap({self._values!r})"
