"""Commits in a thread of their own: acknowledged before anyone is told, and never silent about a failure."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from framework.core.durable import ScalarSet
from framework.engine.ray.disk import database as storage
from framework.engine.ray.disk.commit_in_flight import read_flight
from framework.engine.ray.disk.commits import DatabaseCommits, MemoryCommits
from framework.engine.ray.disk.database import Database

BOUND_S = 5.0


class Bench:
    """Commits over a database, on a loop that runs until a commit has landed."""

    def __init__(self, path: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.database = Database.create(path)
        self.commits = DatabaseCommits(self.database, self.loop)
        self.flights: list[tuple[int, int]] = []

    def commit(self, term: int) -> str:
        """How the commit of one term ended."""
        landed = self.loop.create_future()
        changes = [ScalarSet("", "term", term)]

        def told(why: str) -> None:
            self.flights.append(read_flight(self.database.path))
            landed.set_result(why)

        self.commits.encode("n1", changes)
        self.commits.commit([("n1", changes)], told)
        why: str = self.loop.run_until_complete(asyncio.wait_for(landed, BOUND_S))
        return why

    def term(self) -> int:
        """What a node that starts now finds."""
        found: int = self.commits.storage("n1").load()[""]["term"]
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "n1.db")
    yield bench
    if bench.commits._thread.is_alive():
        bench.commits.close()
    bench.loop.close()


def test_who_is_told_of_a_commit_finds_it_acknowledged(bench: Bench) -> None:
    assert [bench.commit(term) for term in (7, 8)] == ["", ""]
    assert bench.flights == [(1, 1), (2, 2)]


def test_a_commit_that_fails_is_not_acknowledged_and_nothing_follows_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.commit(1)

    def broken(blob: bytes) -> None:
        raise MemoryError("no room for it")

    with monkeypatch.context() as patch:
        patch.setattr(bench.database, "commit", broken)
        assert bench.commit(2).endswith("n1.db: MemoryError: no room for it")
    assert bench.commit(3).endswith("n1.db: MemoryError: no room for it")
    assert bench.flights[-1] == (2, 1)
    assert bench.term() == 1


def test_a_compaction_that_fails_is_told_with_the_next_commit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(bench.database, "compact", broken)
    monkeypatch.setattr(Database, "bloated", True)
    assert bench.commit(1) == ""
    assert bench.commit(2).endswith("n1.db: compaction: RuntimeError: a bug")


def test_a_node_that_starts_in_the_midst_of_a_compaction_finds_all_it_had_committed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.commit(41)
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.append(bench.term()))

    def crc32(blob: bytes) -> int:
        if bench.database._connection.in_transaction and not reader.ident:
            reader.start()  # the old rows are deleted, and the new one is not there yet
            reader.join(0.1)
        return zlib.crc32(blob)

    monkeypatch.setattr(storage, "zlib", SimpleNamespace(crc32=crc32))
    bench.database.compact()
    reader.join(BOUND_S)
    assert seen == [41]


@pytest.mark.parametrize("bloated", [False, True])
def test_a_commit_can_be_undone_for_one_of_its_nodes_when_it_has_landed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, bloated: bool
) -> None:
    monkeypatch.setattr(Database, "bloated", bloated)
    bench.commit(7)
    both = [(node, [ScalarSet("", "term", 8)]) for node in ("n1", "n2")]
    landed = bench.loop.create_future()

    def told(why: str) -> None:
        bench.commits.undo({"n1"})
        landed.set_result(why)

    for node, changes in both:
        bench.commits.encode(node, changes)
    bench.commits.commit(both, told)
    bench.loop.run_until_complete(asyncio.wait_for(landed, BOUND_S))
    assert bench.term() == 7
    bench.commits.close()
    assert Database.reopen(bench.database.path).load() == {"n1": {"": {"term": 7}}, "n2": {"": {"term": 8}}}


def test_commits_in_memory_can_be_undone_too() -> None:
    commits, told = MemoryCommits(), []
    for term in (7, 8):
        commits.commit([(node, [ScalarSet("", "term", term)]) for node in ("n1", "n2")], told.append)
    commits.undo({"n1"})
    assert [commits.storage(node).load()[""]["term"] for node in ("n1", "n2")] == [7, 8]
    assert told == ["", ""]


def test_a_kill_behind_a_compaction_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compacted was acknowledged before: no fate can drop the whole with the commit in flight."""
    acknowledged: list[int] = []
    compacted = threading.Event()
    compact = bench.database.compact

    def watched() -> None:
        acknowledged.append(read_flight(bench.database.path)[1])
        compact()
        compacted.set()

    monkeypatch.setattr(bench.database, "compact", watched)
    monkeypatch.setattr(Database, "bloated", True)
    bench.commit(41)
    assert compacted.wait(BOUND_S) and acknowledged == [1]
    assert Database.reopen(bench.database.path, acknowledged[0]).load() == {"n1": {"": {"term": 41}}}
