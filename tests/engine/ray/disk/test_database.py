"""Durable state in SQLite: what was acknowledged is there, or its absence is an error."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from framework.core.durable import LogWritten, MapWritten, MountDropped, ScalarSet
from framework.engine.ray.disk import database as storage
from framework.engine.ray.disk.commit_in_flight import (
    CommitInFlight,
    CommitInFlightError,
    flight_file,
    read_flight,
    write_flight,
)
from framework.engine.ray.disk.crash_damage import damage, leave
from framework.engine.ray.disk.database import Database, StorageError
from framework.engine.ray.disk.write_ahead_log import look
from framework.engine.ray.driver.machine_agent import MachineAgent
from framework.faults.commit_fate import CommitFate

TERM = [("n1", [ScalarSet("", "term", 3)])]


def commit(database: Database, *changes: tuple[object, ...], node: str = "n1") -> None:
    database.commit(database.encode([(node, changes)]))


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "n1.db")
    commit(database, ScalarSet("", "term", 3), LogWritten("", "log", 1, 1, ["a", "b", "c"]))
    commit(database, LogWritten("", "log", 1, 2, ["B"]), MapWritten("shard", "members", [["n1", 1], ["n2", 2]], []))
    commit(database, MapWritten("shard", "members", [], ["n1"]), LogWritten("", "log", 2, 3, ["C"]))
    commit(database, ScalarSet("", "term", 9), node="n2")
    database.close()
    again = Database.reopen(tmp_path / "n1.db")
    assert again.load() == {
        "n1": {"": {"term": 3, "log": (2, ["B", "C"])}, "shard": {"members": {"n2": 2}}},
        "n2": {"": {"term": 9}},
    }
    commit(again, ScalarSet("", "term", 4))
    assert Database.reopen(tmp_path / "n1.db").load()["n1"][""]["term"] == 4


def test_storage_that_should_be_there_and_is_not_is_amnesia(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone; a node that lost it must not start empty"):
        Database.reopen(tmp_path / "n1.db")


def test_a_first_start_refuses_what_an_earlier_run_left(tmp_path: Path) -> None:
    Database.create(tmp_path / "n1.db").close()
    with pytest.raises(StorageError, match=r"there is durable state already"):
        Database.create(tmp_path / "n1.db")


def test_a_damaged_row_is_refused_never_skipped(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "n1.db")
    for term in range(3):
        commit(database, ScalarSet("", "term", term))
    database.close()
    with sqlite3.connect(tmp_path / "n1.db") as connection:
        connection.execute("UPDATE commits SET changes = ? WHERE id = 2", (b"\x90",))
    with pytest.raises(StorageError, match=r"commit 2 is damaged: its CRC does not fit"):
        Database.reopen(tmp_path / "n1.db")


def test_a_missing_row_is_refused(tmp_path: Path) -> None:
    database = Database.create(tmp_path / "n1.db")
    for term in range(3):
        commit(database, ScalarSet("", "term", term))
    database.close()
    with sqlite3.connect(tmp_path / "n1.db") as connection:
        connection.execute("DELETE FROM commits WHERE id = 2")
    with pytest.raises(StorageError, match=r"commit 2 is missing"):
        Database.reopen(tmp_path / "n1.db")


def test_a_file_of_garbage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n1.db").write_bytes(b"not a database at all, by no means" * 100)
    with pytest.raises(StorageError, match=r"damaged"):
        Database.reopen(tmp_path / "n1.db")


def killed_writer(folder: Path, commits: int) -> Path:
    """A process commits terms 1 to `commits`, keeps its database open, and is killed."""
    path = folder / "n1.db"
    program = (
        "import sys, pathlib\n"
        "from framework.core.durable import ScalarSet\n"
        "from framework.engine.ray.disk.database import Database\n"
        "database = Database.create(pathlib.Path(sys.argv[1]))\n"
        "for term in range(1, int(sys.argv[2]) + 1):\n"
        "    database.commit(database.encode([('n1', [ScalarSet('', 'term', term)])]))\n"
        "print('done', flush=True)\n"
        "sys.stdin.read()\n"
    )
    root = Path(__file__).parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path), str(commits)],
        cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None and child.stdout.readline() == "done\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert child.stdin is not None
    child.stdin.close()
    return path


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def test_a_killed_process_loses_nothing_that_it_was_told_is_safe(tmp_path: Path) -> None:
    path = killed_writer(tmp_path, 20)
    assert wal_of(path).stat().st_size > 0, "the test wants commits that no checkpoint has moved"
    assert Database.reopen(path).load() == {"n1": {"": {"term": 20}}}


def test_a_torn_last_commit_is_forgotten_for_nobody_was_told_of_it(tmp_path: Path) -> None:
    path = killed_writer(tmp_path, 20)
    os.truncate(wal_of(path), wal_of(path).stat().st_size - 100)
    again = Database.reopen(path)
    assert again.load() == {"n1": {"": {"term": 19}}} and again.cut


@pytest.mark.parametrize("where", [40, 24 + 32 + 4096 * 6])
def test_damage_in_the_middle_of_the_write_ahead_log_is_refused(tmp_path: Path, where: int) -> None:
    """SQLite alone would take the first bad frame for the end of its log, and forget acknowledged commits."""
    path = killed_writer(tmp_path, 20)
    damaged = bytearray(wal_of(path).read_bytes())
    damaged[32 + where] ^= 0xFF
    wal_of(path).write_bytes(damaged)
    with pytest.raises(StorageError, match=r"write-ahead log is damaged"):
        Database.reopen(path)


def test_a_write_ahead_log_with_a_damaged_head_is_refused(tmp_path: Path) -> None:
    path = killed_writer(tmp_path, 5)
    damaged = bytearray(wal_of(path).read_bytes())
    damaged[9] ^= 0xFF
    wal_of(path).write_bytes(damaged)
    with pytest.raises(StorageError, match=r"write-ahead log is damaged"):
        Database.reopen(path)


def test_compaction_keeps_the_state_and_drops_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "COMPACT_BYTES", 20_000)
    database = Database.create(tmp_path / "n1.db")
    for index in range(1, 101):
        commit(database, LogWritten("", "log", 1, index, ["x" * 200]), ScalarSet("", "term", index))
    assert not database.bloated, "a log that only grows has no garbage"
    commit(database, LogWritten("", "log", 91, 101, []))
    assert database.bloated
    before = database.load()
    database.compact()
    assert database.load() == before == {"n1": {"": {"log": (91, ["x" * 200] * 10), "term": 100}}}
    assert not database.bloated
    commit(database, LogWritten("", "log", 101, 101, []), ScalarSet("", "vote", "n2"))
    database.close()
    assert Database.reopen(tmp_path / "n1.db").load() == {"n1": {"": {"log": (101, []), "term": 100, "vote": "n2"}}}


def test_overwritten_keys_and_destroyed_mounts_are_garbage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "COMPACT_BYTES", 10_000)
    database = Database.create(tmp_path / "n1.db")
    for _ in range(60):
        commit(database, MapWritten("", "map", [["k", "v" * 200]], []))
    assert database.bloated
    database.compact()
    for index in range(1, 81):
        commit(database, LogWritten("shard", "log", 1, index, ["x" * 200]))
    assert not database.bloated
    commit(database, MountDropped("shard"))
    assert database.bloated
    database.compact()
    assert database.load() == {"n1": {"": {"map": {"k": "v" * 200}}}}


def test_a_crash_can_lose_the_commit_in_flight_and_that_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "n1.db"
    database = Database.create(path)
    flight = CommitInFlight(path, database.number)
    for term in range(1, 4):
        flight.begin()
        commit(database, ScalarSet("", "term", term))
        if term < 3:
            flight.land()
    begun, acknowledged = read_flight(path)
    assert (begun, acknowledged) == (3, 2)
    kept = Database.reopen(path)
    assert kept.load() == {"n1": {"": {"term": 3}}}
    kept.close()
    lost = Database.reopen(path, acknowledged)
    assert lost.load() == {"n1": {"": {"term": 2}}} and lost.number == 2
    commit(lost, ScalarSet("", "term", 9))
    assert Database.reopen(path).load() == {"n1": {"": {"term": 9}}}


def test_a_commit_in_flight_during_a_compaction_is_not_the_compaction(tmp_path: Path) -> None:
    path = tmp_path / "n1.db"
    database = Database.create(path)
    for term in range(1, 4):
        commit(database, ScalarSet("", "term", term))
    database.compact()
    assert database.number == 3, "the whole stands under the last number"
    commit(database, ScalarSet("", "term", 4))
    database.close()
    assert Database.reopen(path, 3).load() == {"n1": {"": {"term": 3}}}


def promised(path: Path, commits: int, size: int) -> Database:
    """A database whose commits, `size` bytes each, were all acknowledged."""
    database = Database.create(path)
    flight = CommitInFlight(path, database.number)
    for term in range(1, commits + 1):
        flight.begin()
        commit(database, ScalarSet("", "term", term), ScalarSet("", "name", "x" * size))
        flight.land()
    return database


def as_if_killed(path: Path, folder: Path) -> Path:
    """What is in the files of an open database, as a process that is killed leaves it."""
    folder.mkdir()
    for file in path.parent.glob("n1.*"):
        shutil.copy(file, folder)
    return folder / path.name


def test_an_acknowledged_commit_at_the_end_of_the_log_is_missed(tmp_path: Path) -> None:
    """Nothing follows it in the log: only the flight file knows that somebody was told of it."""
    database = promised(tmp_path / "n1.db", 3, 100)
    path = as_if_killed(database.path, tmp_path / "left")
    log = bytearray(wal_of(path).read_bytes())
    log[-5] ^= 1
    wal_of(path).write_bytes(log)
    with pytest.raises(StorageError, match=r"commit 3 was acknowledged, and the last one there is 2"):
        Database.reopen(path)
    with pytest.raises(StorageError, match=r"commit 3 was acknowledged"):
        Database.reopen(path, 3)


def test_a_log_that_is_gone_is_missed(tmp_path: Path) -> None:
    database = promised(tmp_path / "n1.db", 300, 3_000)
    path = as_if_killed(database.path, tmp_path / "left")
    wal_of(path).unlink()
    with pytest.raises(StorageError, match=r"damaged"):
        Database.reopen(path)


def test_the_first_row_is_commit_1_or_a_compaction(tmp_path: Path) -> None:
    path = tmp_path / "n1.db"
    promised(path, 5, 10).close()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM commits WHERE id < 4")
    with pytest.raises(StorageError, match=r"commit 1 is missing"):
        Database.reopen(path)


def test_the_commits_before_a_compaction_are_not_missed_and_those_behind_it_are(tmp_path: Path) -> None:
    path = tmp_path / "n1.db"
    database = promised(path, 5, 10)
    database.compact()
    commit(database, ScalarSet("", "term", 6))
    commit(database, ScalarSet("", "term", 7))
    database.close()
    Database.reopen(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM commits WHERE id = 6")
    with pytest.raises(StorageError, match=r"commit 6 is missing"):
        Database.reopen(path)


def test_the_flight_file_is_never_seen_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "n1.db", []
    CommitInFlight(path, 7)
    replace = os.replace

    def watched(fresh: Path, old: Path) -> None:
        seen.append(read_flight(path))
        replace(fresh, old)

    monkeypatch.setattr(os, "replace", watched)
    CommitInFlight(path, 9)
    assert seen == [(7, 7)] and read_flight(path) == (9, 9)


def test_a_flight_file_cut_short_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "n1.db"
    promised(path, 2, 10).close()
    os.truncate(flight_file(path), 5)
    with pytest.raises(CommitInFlightError, match=r"5 bytes instead of 32"):
        read_flight(path)
    with pytest.raises(StorageError, match=r"5 bytes instead of 32"):
        Database.reopen(path)
    assert MachineAgent().end(no_process(), path) == (0, 0), "its restart is refused; until then nothing is in flight"


def test_a_flight_file_that_is_gone_is_damage_and_not_a_promise_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "n1.db"
    promised(path, 2, 10).close()
    flight_file(path).unlink()
    with pytest.raises(StorageError, match=r"n1.flight is gone: the acknowledged commits are unknown"):
        Database.reopen(path)


def test_a_database_has_its_flight_file_from_the_first_moment_and_a_process_without_one_has_none_in_flight(
    tmp_path: Path,
) -> None:
    path = tmp_path / "n1.db"
    assert MachineAgent().end(no_process(), path) == (0, 0)
    Database.create(path).close()
    assert read_flight(path) == (0, 0)


def test_a_kill_in_the_middle_of_either_number_leaves_what_was_so_before(tmp_path: Path) -> None:
    """Whatever part of the bytes had been written: nobody had begun the commit, or nobody had been told of it."""
    path = tmp_path / "n1.db"
    flight = CommitInFlight(path, 255)
    for step, before in ((flight.begin, (255, 255)), (flight.land, (256, 255))):
        old = flight_file(path).read_bytes()
        step()
        new = flight_file(path).read_bytes()
        changed = [at for at in range(32) if old[at] != new[at]]
        for count in range(1, len(changed)):
            half = bytes(new[at] if at in changed[:count] else old[at] for at in range(32))
            (tmp_path / "half.flight").write_bytes(half)
            assert read_flight(tmp_path / "half.db") == before
    assert read_flight(path) == (256, 256)


def test_numbers_that_do_not_belong_together_are_damage(tmp_path: Path) -> None:
    one, other = tmp_path / "n1.db", tmp_path / "n2.db"
    write_flight(one, 3)
    write_flight(other, 9)
    flight_file(one).write_bytes(flight_file(one).read_bytes()[:16] + flight_file(other).read_bytes()[16:])
    with pytest.raises(CommitInFlightError, match=r"commit 3 begun, commit 9 acknowledged"):
        read_flight(one)
    flight_file(one).write_bytes(bytes(32))
    with pytest.raises(CommitInFlightError, match=r"these are not two of one flight"):
        read_flight(one)


def no_process() -> int:
    """The id of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def in_flight(folder: Path, size: int = 100, commits: int = 3) -> Path:
    """What a process leaves that was killed between the last of its commits and its acknowledgement."""
    database = Database.create(folder / "n1.db")
    flight = CommitInFlight(database.path, 0)
    for term in range(1, commits + 1):
        flight.begin()
        commit(database, ScalarSet("", "term", term), ScalarSet("", "name", "x" * size))
        if term < commits:
            flight.land()
    left = as_if_killed(database.path, folder / "left")
    database.close()
    return left


def test_a_commit_in_flight_is_kept(tmp_path: Path) -> None:
    path = in_flight(tmp_path)
    assert leave(path, 3, "kept") == "kept"
    again = Database.reopen(path)
    assert (again.number, again.cut) == (3, False)


@pytest.mark.parametrize("size", [100, 50_000])
def test_a_commit_in_flight_that_is_torn_is_found_and_cut_off(tmp_path: Path, size: int) -> None:
    path = in_flight(tmp_path, size)
    before = wal_of(path).stat().st_size
    assert leave(path, 3, "torn") == "torn"
    assert wal_of(path).stat().st_size < before
    again = Database.reopen(path)
    assert (again.number, again.cut) == (2, True)
    assert again.load()["n1"][""]["term"] == 2
    commit(again, ScalarSet("", "term", 9))
    path = as_if_killed(path, tmp_path / "later")
    later = Database.reopen(path)
    assert (later.number, later.cut) == (3, False), "nothing of the torn one is left behind"
    assert later.load()["n1"][""]["term"] == 9


@pytest.mark.parametrize("fate", ["kept", "lost", "torn"])
def test_a_commit_that_had_not_come_as_far_as_the_file_is_lost(tmp_path: Path, fate: CommitFate) -> None:
    path = in_flight(tmp_path)
    assert leave(path, 4, fate) == "lost"
    assert Database.reopen(path, 3).number == 3


def test_a_commit_that_a_checkpoint_has_moved_cannot_be_torn_and_is_lost(tmp_path: Path) -> None:
    """Most of what it wrote is in the database itself: without the log's last frames that would be a mixture."""
    commits = 1
    while look(wal_of(in_flight(tmp_path / str(commits), 3_000, commits))).frames < storage.CHECKPOINT_FRAMES:
        commits += 10 if commits < 60 else 1
    path = tmp_path / str(commits) / "left" / "n1.db"
    assert leave(path, commits, "torn") == "lost"
    again = Database.reopen(path, commits - 1)
    assert (again.number, again.cut) == (commits - 1, False)


@pytest.mark.parametrize("size", [3, 300, 9_000])
def test_ruin_damages_an_acknowledged_record_which_is_refused_from_then_on(tmp_path: Path, size: int) -> None:
    path = tmp_path / "n1.db"
    database = Database.create(path)
    for term in range(1, 30):
        commit(database, ScalarSet("", "term", term), ScalarSet("", "name", "x" * size + str(term)))
    database.close()
    assert "damaged" in damage(path, 20)
    with pytest.raises(StorageError, match="damaged"):
        Database.reopen(path)


def test_there_is_nothing_to_ruin_where_nothing_was_acknowledged(tmp_path: Path) -> None:
    assert damage(tmp_path / "n1.db", 5) == ""
    database = Database.create(tmp_path / "n1.db")
    commit(database, ScalarSet("", "term", 1))
    database.close()
    assert damage(tmp_path / "n1.db", 0) == ""
    assert Database.reopen(tmp_path / "n1.db").load() == {"n1": {"": {"term": 1}}}
