"""The outage around a leader's crash, read from what clients saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.leader_kill.gaps import Gap, NoCrash, gap_after, gap_of
from framework.config.compose import compose
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute

MS = 1_000_000


def test_the_gap_is_the_longest_time_without_an_operation_after_the_crash() -> None:
    times = [at * MS for at in (10, 20, 30, 32, 500, 510)]
    assert gap_after(30 * MS, times) == Gap(30 * MS, 32 * MS, 500 * MS)  # one answer was on its way
    assert gap_after(30 * MS, times).outage == 470 * MS


def test_a_long_wait_before_the_crash_is_not_the_crash_s_doing() -> None:
    assert gap_after(1_000 * MS, [0, 1_001 * MS, 1_300 * MS]) == Gap(1_000 * MS, 1_001 * MS, 1_300 * MS)


def test_nothing_after_the_crash_is_no_figure() -> None:
    with pytest.raises(NoCrash, match="no operation completed within 3 s"):
        gap_after(30 * MS, [10 * MS])


def test_a_simulated_crash_lasts_an_election(tmp_path: Path) -> None:
    made = compose(
        [
            "experiment=raft_5nodes", "engine=sim", "duration=3s", "clients=20", "trace=history", "faults=crash",
            "faults.crash.target=leader", "faults.crash.for=1s", "faults.crash.at=1s", f"run.dir={tmp_path / 'run'}",
        ]
    )  # fmt: skip
    plan = Plan(
        experiment=made.experiment, config=made.config, engine="sim", checkers=made.checkers, models=made.models
    )
    execute(plan, engine_named("sim"), lambda now, tally: None)

    gap = gap_of(tmp_path / "run")

    assert gap.crash == 1_000 * MS
    assert (
        100 * MS < gap.outage < 1_000 * MS
    )  # 150 to 300 ms until somebody stands, and what clients wait before they ask again
