"""The study of Raft's snapshots, on a small scale: its rows say what they are said to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.raft_snapshots.__main__ import absences, disks, pauses, spread
from experiments.raft_snapshots.absence import Absence
from experiments.raft_snapshots.solo import Solo, restarted
from experiments.raft_snapshots.writes import KV, writes
from framework.engine.ray.disk.database import Database
from plugins.protocols.raft.config import RaftConfig


def test_a_follower_catches_up_by_entries_or_by_a_snapshot_in_chunks() -> None:
    by_log = Absence(3000, None, 50, "protocol.snapshot_every=0").hold()
    by_snapshot = Absence(3000, 10, 50, "protocol.snapshot_chunk=1000").hold()
    assert by_log.chunks == 0
    assert by_snapshot.chunks > 10
    assert by_log.elections == by_snapshot.elections == 1
    assert len(list(absences(200))) == 3


def test_a_server_returns_with_all_that_it_had_from_snapshot_and_log(tmp_path: Path) -> None:
    config = RaftConfig(state_machine=KV, snapshot_every=100, snapshot_trailing=10)
    database = Database.create(tmp_path / "n1.sqlite")
    solo = Solo(database, config)
    opening, *commands = writes(250, 20, opened=solo.node.log.last + 1)
    solo.execute([opening])
    solo.execute(commands)
    held = solo.node.machine.snapshot()
    database.close()
    again, _ = restarted(tmp_path / "n1.sqlite", config)
    assert again.node.machine.snapshot() == held
    assert again.node.log.first > 100
    again.database.close()


def test_disks_are_measured_with_and_without(tmp_path: Path) -> None:
    sizes, restarts = disks(500, 3, tmp_path)
    assert [row[0] for row, _ in sizes] == [row[0] for row in restarts] == ["none", "every 10,000"]
    assert [row[1] for row in restarts] == ["502", "502"]  # the session, the values, two terms
    for _, _, times in restarts:
        least, median, most = (float(time.replace(",", "")) for time in times.split(" / "))
        assert 0 < least <= median <= most


def test_pauses_grow_with_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.raft_snapshots.__main__.COUNTS", (10, 20))
    assert [row[0] for row in pauses(3)] == ["10", "20"]


def test_a_spread_is_the_least_the_median_and_the_most_in_milliseconds() -> None:
    assert spread([0.003, 1.5, 0.0021, 0.0042]) == "2.1 / 3.6 / 1,500.0"
