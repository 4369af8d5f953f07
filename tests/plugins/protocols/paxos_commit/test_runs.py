"""Whole runs in the simulator: under chaos, and with leaders and acceptors in every place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from framework.checking.verdict import Verdict
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from tests.composing import composed


def run(folder: Path, *overrides: str) -> RunResult:
    made = composed("engine=sim", "trace=history", *overrides)
    plan = Plan(
        experiment=replace(made.experiment, run_dir=folder), config=made.config, engine="sim",
        checkers=made.checkers, models=made.models,
    )  # fmt: skip
    return execute(plan, engine_named("sim"), lambda now, tally: None)


@pytest.mark.parametrize("faster", ["false", "true"])
@pytest.mark.parametrize("seed", range(3))
def test_chaos(tmp_path: Path, seed: int, faster: str) -> None:
    chaos = ("experiment=paxos_commit_chaos", "duration=2s", "quiet=700ms", f"protocol.faster={faster}")
    result = run(tmp_path, *chaos, f"seed={seed}")
    assert result.verdict is Verdict.VALID, result.reasons


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("nodes=9", "protocol.acceptors=separate", "protocol.coordinators=1"),
        ("nodes=5", "protocol.acceptors=participants", "protocol.coordinators=0", "protocol.faults=2"),
        ("nodes=5", "protocol.acceptors=participants", "protocol.coordinators=0", "protocol.faster=true"),
        ("nodes=3", "protocol.acceptors=participants", "protocol.coordinators=0", "protocol.faults=0"),
        ("protocol.faster=true", "workload.read_only=0.3"),
        ("nodes=2", "protocol.acceptors=participants", "protocol.coordinators=0"),
    ],
    ids=" ".join,
)
def test_it_commits_wherever_leaders_and_acceptors_are(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    result = run(tmp_path, "experiment=paxos_commit", "duration=100ms", "clients=5", *overrides)
    assert result.verdict is Verdict.VALID, result.reasons
    assert result.operations["ok"] > 100


def test_a_leader_that_dies_for_good_blocks_nothing(tmp_path: Path) -> None:
    steps = "faults.schedule.steps=[{at: 300ms, fault: crash, target: n1, for: 0}]"
    lone = ("experiment=paxos_commit", "duration=1s", "clients=5", "quiet=200ms", "faults=schedule", steps)
    result = run(tmp_path, *lone, "workload.think_time=5ms")
    assert result.verdict is Verdict.VALID, result.reasons
