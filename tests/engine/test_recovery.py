"""What runs say of recovery when disks are damaged for good, on both engines: nobody is asked for what cannot be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from framework import Crash, Restart, open_run
from framework.checking.verdict import Verdict
from framework.core.time import SECOND
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from tests.composing import composed
from tests.engine.ray.register import Timed, register_run

DAMAGE = ("faults=disk", "faults.disk.trouble=damage", "faults.disk.at=1s", "faults.disk.for=500ms")
ALL_OF_THREE = ("protocol.quorums.kind=flexible", "protocol.quorums.phase1=1", "protocol.quorums.phase2=3")


def taken(folder: Path, *overrides: str, timeout: str = "500ms") -> RunResult:
    made = composed(*overrides, f"workload.timeout={timeout}")
    plan = Plan(
        experiment=replace(made.experiment, run_dir=folder), config=made.config, engine=made.engine,
        checkers=made.checkers, models=made.models,
    )  # fmt: skip
    return execute(plan, engine_named(made.engine), lambda now, tally: None)


@pytest.mark.parametrize("engine", ["sim", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_quorum_that_damage_leaves_no_more_is_not_asked_to_serve(tmp_path: Path, engine: str) -> None:
    few = ("experiment=multipaxos_5nodes", f"engine={engine}", "nodes=3", "clients=2", "duration=4s", "quiet=1s")
    # Operations begin anew every 700 ms from about 1 s on: none ends near the end of the run, at 4 s.
    result = taken(tmp_path, *few, *ALL_OF_THREE, *DAMAGE, "faults.disk.target=n3", timeout="700ms")

    assert result.verdict is Verdict.UNKNOWN
    reason = result.reasons[0]
    assert "after the faults ended, and n1 n2 cannot serve alone; n3 down for good (disk damaged), n1" in reason
    assert "(term " in reason and "open: c" in reason and " since " in reason and ", c" in reason


def test_a_proposer_that_is_the_only_one_is_not_asked_to_propose(tmp_path: Path) -> None:
    paxos = ("experiment=paxos_5nodes", "engine=sim", "nodes=3", "clients=2", "duration=3s", "protocol.proposers=[n1]")
    result = taken(tmp_path, *paxos, *DAMAGE, "faults.disk.target=n1")
    assert result.verdict is Verdict.UNKNOWN
    assert "and n2 n3 cannot serve alone; n1 down for good (disk damaged)" in result.reasons[0]
    assert "at n1" in result.reasons[0]


def test_a_replica_that_every_quorum_needs_is_not_done_without(tmp_path: Path) -> None:
    grid = ("protocol.quorums.kind=grid", "protocol.quorums.rows=2", "protocol.quorums.columns=2", "nodes=4")
    abd = ("experiment=abd_5nodes", "engine=sim", "clients=2", "duration=3s", *grid)
    result = taken(tmp_path, *abd, *DAMAGE, "faults.disk.target=n2")
    # The row n3 n4 is a quorum of phase 1, the column n1 n3 one of phase 2: both are left.
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
    steps = "[{at: 1s, fault: disk, trouble: damage, target: n2}, {at: 1s, fault: crash, target: n3, for: 0}]"
    assert (
        taken(tmp_path / "restarted", *abd, "faults=schedule", f"faults.schedule.steps={steps}").verdict
        is Verdict.VALID
    )
    all_phase_two = ("protocol.quorums.rows=4", "protocol.quorums.columns=1")
    result = taken(tmp_path / "column", *abd, *all_phase_two, *DAMAGE, "faults.disk.target=n2")
    assert result.verdict is Verdict.UNKNOWN
    assert "and n1 n3 n4 cannot serve alone; n2 down for good (disk damaged), n1 n3 n4 running" in result.reasons[0]


def test_a_group_goes_by_its_members_and_not_by_all_nodes(tmp_path: Path) -> None:
    """Of five servers two leave, and two of the three that remain are damaged: three of five run, and cannot serve."""
    steps = (
        "[{at: 500ms, fault: remove_node, target: n4}, {at: 700ms, fault: remove_node, target: n5}, "
        "{at: 1500ms, fault: disk, trouble: damage, target: n1}, {at: 2s, fault: disk, trouble: damage, target: n2}]"
    )
    result = taken(
        tmp_path, "experiment=raft_chaos", "duration=4s", "faults=schedule", f"faults.schedule.steps={steps}"
    )
    assert result.verdict is Verdict.UNKNOWN
    assert "and n3 n4 n5 cannot serve alone; n1 n2 down for good (disk damaged), n3 " in result.reasons[0]


def test_a_replica_that_no_leader_can_be_elected_to_help_does_not_stay_behind_by_its_own_fault(tmp_path: Path) -> None:
    """Phase 1 takes all five: once one is damaged nobody leads again, and what n2 missed nobody sends it."""
    quorums = ("protocol.quorums.kind=flexible", "protocol.quorums.phase1=5", "protocol.quorums.phase2=1")
    steps = (
        "[{at: 3s, fault: partition, kind: isolate, target: n2, for: 500ms}, "
        "{at: 3490ms, fault: disk, trouble: damage, target: leader, for: 500ms}]"
    )
    result = taken(
        tmp_path, "experiment=multipaxos_chaos", "network=wan_aws", "nodes=5", "duration=6s", *quorums, "faults=schedule",
        f"faults.schedule.steps={steps}", "protocol.election_timeout_min=1s", "protocol.election_timeout_max=2s",
    )  # fmt: skip
    assert result.verdict is Verdict.UNKNOWN
    (convergence,) = [reason for reason in result.reasons if reason.startswith("convergence: ")]
    assert convergence.startswith("convergence: n2 stays at ") and convergence.endswith(
        "(only 4 of 5 nodes run, too few to serve)"
    )


def test_quiet_0_is_no_reason_for_invalid(tmp_path: Path) -> None:
    late = ("faults=crash", "faults.crash.target=leader", "faults.crash.at=1900ms", "faults.crash.for=0")
    result = taken(tmp_path, "experiment=raft_chaos", "duration=2s", "quiet=0", *late, timeout="100ms")
    assert (result.verdict, result.reasons) == (Verdict.VALID, ())
    assert result.details["recovery"].startswith("not checked: quiet=0")


@pytest.mark.ray
def test_on_ray_recovery_counts_from_when_the_last_process_is_back(tmp_path: Path) -> None:
    from framework.engine.ray.driver.engine import RayEngine

    def crash(node: str) -> Timed:
        return Timed(500_000_000, f"crash-{node}", (Crash(node),), (Restart(node),), 0, (node,))

    options: dict[str, Any] = {"duration": 5 * SECOND, "quiet": 4 * SECOND, "script": (crash("n1"), crash("n2"))}
    ended = RayEngine().run(register_run(tmp_path, **options), lambda now, tally: None)
    rows = open_run(tmp_path).events.to_pylist()
    starts = {row["node"]: row["time"] for row in rows if row["kind"] == "start" and row["node"] in ("n1", "n2")}
    assert ended.tally.healed_at is not None and ended.tally.healed_at > max(starts.values()) > SECOND
    assert ended.tally.recovered == ended.tally.asked > 0
    assert ended.aftermath is not None and set(ended.aftermath.statuses) == {"n1", "n2", "n3"}
    assert (ended.aftermath.down, ended.aftermath.can_serve) == ((), None)
