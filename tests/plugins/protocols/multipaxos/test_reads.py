"""Reads without the log, in whole runs: by lease they are as good as the clocks; the others need none."""

from __future__ import annotations

import pytest

from tests.sweep.outcomes import outcomes

CUT_OFF = (  # a leader is cut off with some clients, who go on reading, while the others write
    "experiment=multipaxos_5nodes",
    "engine=sim",
    "trace=history",
    "nodes=3",
    "clients=12",
    "duration=2s",
    "quiet=500ms",
    "workload.keys=1",
    "workload.think_time=1ms",
    "workload.mix={read: 98, write: 2}",
    "protocol.session.retry=30ms",
    "protocol.election_timeout_max=160ms",
)
PARTITION = "{kind: isolate, target: leader, at: 450ms, every: 500ms, for: 350ms}"
SLOW_LEADER = (  # twice as slow as true time, from just before it is cut off
    "faults=[clock,partition]",
    "faults.clock={target: leader, drift_ppm: 500000, direction: backward, step: 0, at: 400ms, every: 500ms, for: 400ms}",
    f"faults.partition={PARTITION}",
)


def verdicts(*overrides: str, seeds: int = 3) -> list[tuple[str, str]]:
    found = outcomes([*CUT_OFF, *overrides], range(seeds))
    return [(str(one.verdict), one.reason.partition(":")[0]) for one in found]


@pytest.mark.long
def test_lease_reads_are_stale_where_a_clock_drifts_by_more_than_it_is_trusted_to() -> None:
    assert verdicts(*SLOW_LEADER, "protocol.read_mode=lease") == [("invalid", "linearizability")] * 3


@pytest.mark.long
@pytest.mark.parametrize("mode", ["log", "read_index"])
def test_the_same_drift_does_no_harm_to_reads_that_ask(mode: str) -> None:
    assert verdicts(*SLOW_LEADER, f"protocol.read_mode={mode}") == [("valid", "")] * 3


@pytest.mark.long
def test_lease_reads_are_linearizable_where_clocks_keep_what_they_promise() -> None:
    sound = ("faults=partition", f"faults.partition={PARTITION}", "protocol.read_mode=lease")
    assert verdicts(*sound) == [("valid", "")] * 3


@pytest.mark.long
def test_a_lease_that_allows_for_the_drift_holds() -> None:
    assert (
        verdicts(*SLOW_LEADER, "protocol.read_mode=lease", "protocol.max_clock_drift_ppm=500000") == [("valid", "")] * 3
    )
