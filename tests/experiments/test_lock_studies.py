"""The studies of locks: counts, clocks, safety; and statements that fail if they do not hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.lease_clocks import analyze as clocks
from experiments.lease_clocks import trial as clock_trial
from experiments.lock_cost import analyze as cost
from experiments.lock_cost.__main__ import main as cost_main
from experiments.lock_cost.count import LINES as COST_LINES
from experiments.lock_cost.count import Counted, counted, hand_overs
from experiments.lock_safety import analyze as safety
from experiments.lock_safety.scenarios import CLOCK_JUMPS, HOLDER_PAUSES, LOCKS, SERVER_FORGETS, Line
from experiments.lock_safety.scenarios import LINES as SAFETY_LINES
from experiments.lock_safety.trial import Trial, trial

SMALL = [line for line in COST_LINES if line.nodes in (1, 3, 4, 7) and line.clients == 1]


@pytest.mark.parametrize("line", SMALL, ids=lambda line: f"{line.lock.name}, {line.nodes}")
def test_a_turn_takes_the_messages_of_the_literature(line: object) -> None:
    found = counted(replace(line, seconds=2), 1)  # type: ignore[type-var]
    assert cost.holds([found])
    assert found.turns > 10


def test_sizes_of_quorums() -> None:
    assert [cost.quorum_size(nodes) for nodes in (4, 7, 9, 13, 25)] == [3, 3, 5, 4, 9]


def test_counts_outside_the_literature_are_seen(tmp_path: Path) -> None:
    found = [
        Counted(
            line, 0, 9, limits[0] if (limits := cost.expected(line)) else 1.0, 2.0, 3.0 if line.clients > 1 else None
        )
        for line in COST_LINES
    ]
    assert cost.report(found, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"counts.csv", "messages.svg", "messages.png"}
    lamport = next(number for number, one in enumerate(found) if one.line.lock.name == "Lamport")
    found[lamport] = found[lamport]._replace(messages=found[lamport].messages + 1)
    assert not cost.holds(found)


def row(function: str, client: str, invoked: int, completed: int) -> dict[str, object]:
    return {"function": function, "client": client, "invoked": invoked, "completed": completed, "outcome": "ok"}


def test_a_hand_over_is_from_the_release_to_the_grant_of_one_that_waits() -> None:
    rows = [
        row("acquire", "c1", 0, 10), row("acquire", "c2", 5, 40), row("release", "c1", 30, 35), row("release", "c2", 50, 55),
        row("acquire", "c1", 60, 70),
    ]  # fmt: skip
    assert hand_overs(rows) == [10], "nobody waited at the second release"


def test_without_etcd_there_is_nothing_to_compare_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert cost_main(["--real", f"--dir={tmp_path}"]) == 2
    assert "there is no etcd to compare with" in capsys.readouterr().err


# Clocks.


@pytest.mark.parametrize(
    ("server", "client", "interfered"),
    [(0, 0, False), (200_000, 0, True), (0, -200_000, True), (-200_000, 200_000, False)],
)
def test_a_fast_server_and_a_slow_client_are_unsafe(server: int, client: int, interfered: bool) -> None:
    line = clock_trial.Line(server, client, 200, fencing=False)
    assert clock_trial.trial(line, 3).interfered is interfered
    assert (line.overlap_ms > clocks.SLACK_MS) is interfered


def test_a_fenced_store_rejects_what_comes_after_the_lease() -> None:
    found = clock_trial.trial(clock_trial.Line(200_000, 0, 200, fencing=True), 3)
    assert not found.interfered and found.rejected > 0


def test_the_half_planes_are_checked(tmp_path: Path) -> None:
    found = [clock_trial.Trial(line, 0, not line.fencing and line.overlap_ms > 0, 9, 0) for line in clock_trial.LINES]
    assert clocks.report(found, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"trials.csv", "clocks.svg", "clocks.png"}
    wrong = next(number for number, one in enumerate(found) if one.interfered)
    assert not clocks.holds([*found[:wrong], found[wrong]._replace(interfered=False), *found[wrong + 1 :]])
    fenced = next(number for number, one in enumerate(found) if one.line.fencing)
    assert not clocks.holds([*found[:fenced], found[fenced]._replace(interfered=True), *found[fenced + 1 :]])


# Safety.


@pytest.mark.parametrize(
    ("lock", "interfered"),
    [("lock server", False), ("Redlock", True), ("Redlock, no fsync", True), ("token ring", False)],
)
def test_a_clock_that_jumps_breaks_redlock(lock: str, interfered: bool) -> None:
    (line,) = (
        line for line in SAFETY_LINES
        if (line.lock.name, line.scenario, line.fencing) == (lock, CLOCK_JUMPS, False)
    )  # fmt: skip
    found = trial(line, 4)
    assert found.interfered is interfered and bool(found.story) is interfered


def ideal(line: Line) -> Trial:
    """Returns the trial that the README's statements demand."""
    broken = {
        HOLDER_PAUSES: [lock.name for lock in LOCKS if lock.lease],
        CLOCK_JUMPS: ["Redlock", "Redlock, no fsync"],
        SERVER_FORGETS: ["Redlock, no fsync"],
    }.get(line.scenario, [])
    interfered = not line.fencing and line.lock.name in broken
    story = ("c1 acquires l1",) if interfered else ()
    return Trial(
        line, 0, "invalid" if interfered else "valid", interfered, False, False, False, 9, "lost update", story
    )


def test_what_breaks_and_what_does_not_is_checked(tmp_path: Path) -> None:
    found = [ideal(line) for line in SAFETY_LINES]
    assert safety.report(found, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"trials.csv", "stories.txt"}
    assert "Redlock, without fencing, seed 0" in (tmp_path / "stories.txt").read_text()
    for number, one in enumerate(found):
        if one.interfered or one.line.fencing:
            assert not safety.holds(
                [*found[:number], one._replace(interfered=not one.interfered), *found[number + 1 :]]
            )
            break
    stuck = found[0]._replace(blocked=True, verdict="invalid")
    assert safety.cell([stuck], stuck.line.lock, stuck.line.scenario, stuck.line.fencing) == "stuck 1/1"
