"""Whole runs in which clocks drift: what a lease trusts, and what a round of heartbeats does not need."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.planted_bugs.hunt import Ground
from framework.checking.verdict import Verdict

DRIFTING = (
    *("~faults.crash", "~faults.leader_crashes", "~faults.disk", "~faults.pause", "~faults.deaf_leader"),
    "faults.partition={name: partition, kind: isolate, target: leader, at: 700ms, every: 1s, for: 700ms}",
    "faults.slow={name: clock, target: leader, direction: backward, drift_ppm: 400000, at: 600ms, every: 1s, for: 900ms}",
    "faults.fast={name: clock, target: follower, direction: forward, drift_ppm: 400000, at: 600ms, every: 1s, for: 900ms}",
    *("protocol.election_timeout_min=300ms", "protocol.election_timeout_max=320ms", "protocol.check_quorum=true"),
    *("clients=12", "workload.mix={read: 90, write: 10}"),
    "engine.check_invariants_every=0",  # they would stop the run before a client has seen anything
)
SEEDS = (2, 3, 8)  # of the first sixteen, two are those in which a client sees it


def runs(folder: Path, *settings: str) -> dict[int, str]:
    """What came of each seed: `valid`, or what says that the run was invalid."""
    ground = Ground("raft_storm", "raft", (*DRIFTING, *settings))
    results = {seed: ground.run(seed, folder / str(seed)) for seed in SEEDS}
    return {
        seed: "valid" if result.verdict is Verdict.VALID else result.reasons[0].partition(":")[0]
        for seed, result in results.items()
    }


def test_a_lease_breaks_when_clocks_drift_beyond_the_margin(tmp_path: Path) -> None:
    """The leader's clock runs slow, the others' fast; a client beside the leader reads what is no longer so."""
    assert runs(tmp_path, "protocol.read_mode=lease") == {2: "valid", 3: "linearizability", 8: "linearizability"}


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [("protocol.read_mode=lease", "protocol.max_clock_drift_ppm=400000"), ("protocol.read_mode=read_index",)],
)
def test_under_the_same_seeds_a_margin_that_covers_them_or_a_round_of_heartbeats_keeps_reads_right(
    tmp_path: Path, settings: tuple[str, ...]
) -> None:
    assert set(runs(tmp_path, *settings).values()) == {"valid"}
