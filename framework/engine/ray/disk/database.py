"""Durable state in SQLite: one database per worker, one row per commit, each with its CRC.

A row holds the changes of every node of the worker in that commit, as one msgpack blob. Rows are numbered from 1, or
from a compaction, without a gap. WAL with synchronous=FULL: when `commit` returns, the row has been through one fsync.
SQLite itself discards a half-written last commit; `reopen` refuses any other damage and never skips it.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from framework.core.address import is_within
from framework.core.durable import Change, LogWritten, MapWritten, ScalarSet, Stored
from framework.core.errors import SynodError
from framework.core.message import NodeId
from framework.core.storage import apply_change
from framework.engine.ray.disk.commit_in_flight import CommitInFlightError, read_flight, write_flight
from framework.engine.ray.disk.write_ahead_log import log_of, look

COMPACT_BYTES = 64 << 20
"""Smallest size at which a database is compacted."""

SCALAR_BYTES = 16
"""Estimated size of a scalar in a commit that also holds logs or maps."""

CHECKPOINT_FRAMES = 250
"""Pages in the write-ahead log that trigger a checkpoint; larger checkpoints stall for 100 ms."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, list[Change]]]).decode

Commit = Sequence[tuple[NodeId, Sequence[Change]]]
"""The changes of one commit, node by node."""

Field = tuple[NodeId, str, str]
"""Node, mount path, name of a durable field."""


class StorageError(SynodError):
    """Durable state is missing or damaged. The message names the file and the damage."""


def encode_changes(changes: Sequence[Change]) -> msgspec.Raw:
    """Encodes one node's part of a commit. Raises OverflowError, TypeError… for a value that msgpack cannot carry."""
    return msgspec.Raw(_encode(changes))


class Database:
    """The durable state of one worker. Thread-safe: `load`, `commit`, `compact` and `close` exclude each other.

    `create` makes a new database. `reopen` requires an existing one: a node that forgot its promises must not start.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._turn = threading.RLock()  # shared connection: a reader would join another's transaction
        self._garbage = Garbage()
        self._bytes = 0
        self._next = 1
        self.cut = False  # whether a half-written commit was found and cut off

    @classmethod
    def create(cls, path: Path) -> Database:
        """Creates a new, empty database. Raises StorageError if one exists, sqlite3.Error."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise StorageError(f"{path}: there is durable state already")
        write_flight(path, 0)  # before the database exists: a database without this file lost it
        connection = connect(path)
        connection.execute(
            "CREATE TABLE commits (id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, changes BLOB NOT NULL,"
            " whole INTEGER NOT NULL)"
        )
        return cls(path, connection)

    @classmethod
    def reopen(cls, path: Path, acknowledged: int | None = None) -> Database:
        """Opens the database of an earlier incarnation. Raises StorageError if it is missing (amnesia), damaged, or
        lacks a commit that the earlier incarnation acknowledged.

        Deletes commits after `acknowledged` (None: deletes none) as lost: they were in flight when the process ended.
        """
        if not path.exists():
            raise StorageError(f"{path}: the durable state is gone; a node that lost it must not start empty")
        log = look(log_of(path))
        if log.damage:
            raise StorageError(f"{path}: the write-ahead log is damaged ({log.damage})")
        try:
            database = cls(path, connect(path))
            if log.torn:
                database._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                database.cut = True
            if acknowledged is not None:
                database._connection.execute("DELETE FROM commits WHERE id > ?", (acknowledged,))
            database._survey()
            _, promised = read_flight(path)
        except (sqlite3.Error, CommitInFlightError) as error:
            raise StorageError(f"{path}: damaged ({error})") from error
        if database.number < promised:
            raise StorageError(
                f"{path}: damaged (commit {promised} was acknowledged, and the last one there is {database.number})"
            )
        return database

    def load(self) -> dict[NodeId, Stored]:
        """Returns each node's committed state, as msgpack's plain data. Raises StorageError if a row is damaged."""
        states: dict[NodeId, Stored] = {}
        try:
            with self._turn:
                for _, changes in self._rows():
                    for node, own in changes:
                        stored = states.setdefault(node, {})
                        for change in own:
                            apply_change(stored, change)
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: damaged ({error})") from error
        return states

    def commit(self, blob: bytes) -> None:
        """Commits a blob made by `encode` or `join`; it is durable on return. Raises sqlite3.Error."""
        row = (zlib.crc32(blob), blob)
        with self._turn:
            self._connection.execute("INSERT INTO commits VALUES (?, ?, ?, 0)", (self._next, *row))
            self._next += 1
            self._bytes += len(blob)

    def undo(self, nodes: Container[NodeId]) -> None:
        """Removes these nodes' part from the last commit. Raises sqlite3.Error."""
        with self._turn:
            (blob,) = self._connection.execute("SELECT changes FROM commits WHERE id = ?", (self.number,)).fetchone()
            left = _encode([part for part in _decode(blob) if part[0] not in nodes])
            row = (zlib.crc32(left), left, self.number)
            self._connection.execute("UPDATE commits SET crc = ?, changes = ? WHERE id = ?", row)

    @property
    def number(self) -> int:
        """The number of the last commit; 0 if there is none."""
        return self._next - 1

    def encode(self, commit: Commit) -> bytes:
        """Returns the bytes of one commit."""
        return self.join(commit, {node: encode_changes(changes) for node, changes in commit})

    def join(self, commit: Commit, parts: Mapping[NodeId, msgspec.Raw]) -> bytes:
        """Returns the bytes of one commit, given the encoded changes of each of its nodes."""
        blob = _encode([(node, parts[node]) for node, _ in commit])
        self._garbage.count(commit, len(blob))
        return blob

    @property
    def bloated(self) -> bool:
        """True if more than half of a large database is superseded."""
        return self._bytes > COMPACT_BYTES and self._garbage.dead * 2 > self._bytes

    def compact(self) -> None:
        """Replaces all rows by one with the whole state, under the number of the last. Raises StorageError,
        sqlite3.Error."""
        with self._turn:
            self._compact()

    def _compact(self) -> None:
        states = self.load()
        whole = [(node, list(_whole(stored))) for node, stored in states.items()]
        blob = _encode(whole)
        with _transaction(self._connection) as connection:
            connection.execute("DELETE FROM commits")
            connection.execute("INSERT INTO commits VALUES (?, ?, ?, 1)", (self.number, zlib.crc32(blob), blob))
        self._bytes = len(blob)
        garbage = Garbage()
        garbage.count(whole, len(blob))
        self._garbage = garbage  # assigned last: another thread may count the next commit meanwhile

    def close(self) -> None:
        with self._turn:
            self._connection.close()

    def _survey(self) -> None:
        for number, changes in self._rows():
            size = len(_encode(changes))
            self._garbage.count(changes, size)
            self._bytes += size
            self._next = number + 1

    def _rows(self) -> Any:
        expected = 1
        for number, crc, blob, whole in self._connection.execute("SELECT * FROM commits ORDER BY id"):
            if number != expected and not (whole and expected == 1):  # a compacted first row may have any number
                raise StorageError(f"{self.path}: commit {expected} is missing")
            expected = number + 1
            if zlib.crc32(blob) != crc:
                raise StorageError(f"{self.path}: commit {number} is damaged: its CRC does not fit")
            yield number, _decode(blob)


class Garbage:
    """Estimates the superseded bytes of the commits so far: truncated in logs, overwritten in maps and scalars.

    A commit's bytes are divided among the entries and keys that it writes; a scalar next to these counts little.
    """

    def __init__(self) -> None:
        self.dead = 0
        self._logs: dict[Field, tuple[int, int, int]] = {}  # first, last, bytes per entry
        self._maps: dict[Field, dict[Any, int]] = {}
        self._scalars: dict[Field, int] = {}

    def count(self, commit: Commit, size: int) -> None:
        """Counts one commit of `size` bytes."""
        flat = [(node, change) for node, changes in commit for change in changes]
        items = sum(_items(change) for _, change in flat)
        share = size // (items or len(flat) or 1)
        for node, change in flat:
            if isinstance(change, LogWritten):
                self._count_log((node, change.path, change.field), change, share)
            elif isinstance(change, MapWritten):
                self._count_map((node, change.path, change.field), change, share)
            elif isinstance(change, ScalarSet):
                field = (node, change.path, change.field)
                self.dead += self._scalars.get(field, 0)
                self._scalars[field] = SCALAR_BYTES if items else share
            else:
                self._count_drop(node, change.path)

    def _count_log(self, key: Field, change: LogWritten, share: int) -> None:
        first, start, entries = change.first, change.start, change.entries
        old_first, old_last, old_share = self._logs.get(key, (first, start - 1, share))
        self.dead += (max(0, first - old_first) + max(0, old_last + 1 - max(start, first))) * old_share
        mean = share if not old_share else (old_share * 15 + share) // 16 if entries else old_share
        self._logs[key] = (first, start + len(entries) - 1, mean)

    def _count_map(self, key: Field, change: MapWritten, share: int) -> None:
        sizes = self._maps.setdefault(key, {})
        for name, _ in change.puts:
            self.dead += sizes.get(name, 0)
            sizes[name] = share
        for name in change.deleted:
            self.dead += sizes.pop(name, 0)

    def _count_drop(self, node: NodeId, path: str) -> None:
        def gone(key: Field) -> bool:
            return key[0] == node and is_within(key[1], path)

        for key in [key for key in self._logs if gone(key)]:
            first, last, share = self._logs.pop(key)
            self.dead += (last + 1 - first) * share
        for key in [key for key in self._maps if gone(key)]:
            self.dead += sum(self._maps.pop(key).values())
        for key in [key for key in self._scalars if gone(key)]:
            self.dead += self._scalars.pop(key)


def _items(change: Change) -> int:
    if isinstance(change, LogWritten):
        return len(change.entries)
    return len(change.puts) if isinstance(change, MapWritten) else 0


def _whole(stored: Mapping[str, Mapping[str, Any]]) -> Iterator[Change]:
    """Yields the changes that turn an empty state into `stored`."""
    for path, fields in stored.items():
        for field, value in fields.items():
            if isinstance(value, tuple):
                first, entries = value
                yield LogWritten(path, field, first, first, entries)
            elif isinstance(value, dict):
                yield MapWritten(path, field, list(value.items()), [])
            else:
                yield ScalarSet(path, field, value)


class NodeStorage:
    """The loaded state of one node, in the form that a runtime takes. Commits go through the worker's database."""

    typed = False

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def load(self) -> Stored:
        return self._stored

    def commit(self, changes: Sequence[Change]) -> None:
        raise AssertionError("a worker commits for all its nodes at once")


def connect(path: Path) -> sqlite3.Connection:
    """Opens a database, or creates the file. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_FRAMES}")
    return connection


class _transaction:
    """BEGIN … COMMIT, or ROLLBACK when an exception passes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: object, *rest: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
