"""A worker's commits. They are made in a thread of their own, so that the loop continues to receive."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Container, Sequence
from queue import SimpleQueue
from typing import Protocol

import msgspec

from framework.core.durable import Change
from framework.core.message import NodeId
from framework.core.storage import MemoryStorage, Storage
from framework.engine.ray.disk.commit_in_flight import CommitInFlight
from framework.engine.ray.disk.database import Commit, Database, NodeStorage, StorageError, encode_changes


class Commits(Protocol):
    """The destination of changes, and the source from which a starting node is restored."""

    def encode(self, node: NodeId, changes: Sequence[Change]) -> None:
        """Prepares a node's changes for the next commit, which includes them if it names the node. Raises any
        exception of the encoding, for a value that cannot be stored."""

    def commit(self, commit: Commit, landed: Callable[[str], None]) -> None:
        """Starts a commit; `landed` is called in the loop's thread with "" or the reason of a failure. One at a
        time."""

    def undo(self, nodes: Container[NodeId]) -> None:
        """Removes these nodes' part from the last commit, after it has landed and before the next one starts."""

    def storage(self, node: NodeId) -> Storage:
        """Returns the storage that a starting node is restored from. Raises StorageError."""

    def close(self) -> None: ...


class MemoryCommits:
    """Keeps committed changes in memory, for the life of the process."""

    def __init__(self) -> None:
        self._storages: dict[NodeId, MemoryStorage] = {}
        self._last: Commit = ()  # may still be undone

    def encode(self, node: NodeId, changes: Sequence[Change]) -> None:
        """Does nothing: changes are kept as they are."""

    def commit(self, commit: Commit, landed: Callable[[str], None]) -> None:
        self._settle()
        self._last = commit
        landed("")

    def undo(self, nodes: Container[NodeId]) -> None:
        self._last = [part for part in self._last if part[0] not in nodes]

    def storage(self, node: NodeId) -> Storage:
        self._settle()
        return self._storages.setdefault(node, MemoryStorage())

    def close(self) -> None:
        """Does nothing."""

    def _settle(self) -> None:
        for node, changes in self._last:
            self._storages.setdefault(node, MemoryStorage()).commit(changes)
        self._last = ()


class DatabaseCommits:
    """Commits to a database, in a thread."""

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        self._database, self._loop = database, loop
        self._flight = CommitInFlight(database.path, database.number)
        self._parts: dict[NodeId, msgspec.Raw] = {}
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._why = ""  # after a failed commit or compaction, nothing is committed again
        self._thread = threading.Thread(target=self._work, name="commits", daemon=True)
        self._thread.start()

    def encode(self, node: NodeId, changes: Sequence[Change]) -> None:
        self._parts[node] = encode_changes(changes)

    def commit(self, commit: Commit, landed: Callable[[str], None]) -> None:
        blob = self._database.join(commit, self._parts)
        self._parts.clear()
        self._flight.begin()
        self._queue.put(lambda: self._commit(blob, landed))

    def undo(self, nodes: Container[NodeId]) -> None:
        self._database.undo(nodes)

    def storage(self, node: NodeId) -> Storage:
        return NodeStorage(self._database.load().get(node, {}))

    def close(self) -> None:
        """Waits for the commit in flight, then closes the database."""
        self._queue.put(None)
        self._thread.join()
        self._database.close()

    # In the thread.

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            job()

    def _commit(self, blob: bytes, landed: Callable[[str], None]) -> None:
        try:
            if not self._why:
                self._database.commit(blob)
                self._flight.land()
        except Exception as error:  # any exception: the nodes must learn of it
            self._why = f"{self._database.path}: {_told(error)}"
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._landed, landed, self._why)

    def _compact(self) -> None:
        try:
            self._database.compact()
        except Exception as error:
            self._why = f"{self._database.path}: compaction: {_told(error)}"

    # In the loop's thread.

    def _landed(self, landed: Callable[[str], None], why: str) -> None:
        landed(why)  # may undo the commit
        if not why and self._database.bloated:
            self._queue.put(self._compact)  # delays only the next commit


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, (sqlite3.Error, StorageError)) else f"{type(error).__name__}: {error}"
