"""Kleppmann's counter-examples (2016): each disturbs a holder on every seed, is told in few lines, and has the remedy
that it has, or none. A lock with tokens and a store that checks them stands the same faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework import Verdict
from tests.plugins.checkers.judged import judged
from tests.sweep.outcomes import outcomes

SEEDS = range(5)
READS = "guarded_store: l1: c2 reads between two accesses of c1, which holds the lock"
WRITES = "guarded_store: l1: lost update: c1 writes over what c2 wrote after c1's last access"


@pytest.mark.parametrize(
    ("experiment", "reason"),
    [("redlock_clock_jump", READS), ("redlock_no_fsync", READS), ("redlock_pause", WRITES)],
)
def test_two_clients_hold_the_lock(experiment: str, reason: str) -> None:
    found = outcomes([f"experiment={experiment}", "trace=history"], SEEDS)
    assert {one.verdict for one in found} == {"invalid"}
    assert {one.reason for one in found} == {reason}


@pytest.mark.parametrize("remedy", ["fsync=true", "restart_delay=1100ms"])
def test_servers_that_do_not_forget_or_wait_are_a_remedy(remedy: str) -> None:
    found = outcomes(["experiment=redlock_no_fsync", "trace=history", f"protocol.{remedy}"], SEEDS)
    assert {one.verdict for one in found} == {"valid"}


def test_a_delay_that_is_shorter_than_the_lease_is_none() -> None:
    found = outcomes(["experiment=redlock_no_fsync", "trace=history", "protocol.restart_delay=100ms"], SEEDS)
    assert {one.verdict for one in found} == {"invalid"}


@pytest.mark.parametrize("experiment", ["redlock_clock_jump", "redlock_pause"])
@pytest.mark.parametrize("remedy", ["fsync=true", "restart_delay=1100ms"])
def test_there_is_no_remedy_for_clocks_and_pauses(experiment: str, remedy: str) -> None:
    found = outcomes([f"experiment={experiment}", "trace=history", f"protocol.{remedy}"], [0])
    assert {one.verdict for one in found} == {"invalid"}


@pytest.mark.parametrize(
    ("experiment", "fault"),
    [
        ("redlock_clock_jump", "fault schedule/clock from 400.000 ms to 2,000.000 ms: n3 fast"),
        ("redlock_no_fsync", "fault schedule/crash from 400.000 ms to 420.000 ms: n3"),
        ("redlock_pause", "fault schedule/pause from 250.000 ms to 1,750.000 ms: c1"),
    ],
)
def test_the_story_tells_what_happened(experiment: str, fault: str, tmp_path: Path) -> None:
    result = judged(tmp_path, f"experiment={experiment}")
    (found,) = (check for check in result.checks if check.verdict is Verdict.INVALID)
    assert found.name == "guarded_store"
    assert len(found.story) <= 20 and fault in found.story
    assert any(line.startswith("c1 acquires l1 at 1.000 ms, releases it at ") for line in found.story)
    assert any(line.startswith("c2 acquires l1 at ") for line in found.story)


@pytest.mark.parametrize(("fencing", "verdict"), [("true", "valid"), ("false", "invalid")])
def test_a_pause_does_no_harm_if_the_store_checks_the_tokens_of_another_lock(fencing: str, verdict: str) -> None:
    lock = ["protocol=raft", "state_machine=lock", f"workload.store.fencing={fencing}"]
    found = outcomes(["experiment=redlock_pause", "trace=history", *lock], [0])
    assert [one.verdict for one in found] == [verdict]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["clock", "crash", "pause"])
def test_random_search_finds_each_when_its_kind_of_fault_is_alone(kind: str) -> None:
    others = [f"~faults.{other}" for other in ("clock", "crash", "pause") if other != kind]
    found = outcomes(["experiment=redlock_unsafe_chaos", "trace=history", *others], range(10))
    assert any(one.verdict == "invalid" and one.reason.startswith("guarded_store: ") for one in found)


@pytest.mark.long
@pytest.mark.parametrize("remedy", ["fsync=true", "restart_delay=160ms"])
def test_the_remedies_hold_in_a_random_search_too(remedy: str) -> None:
    words = ["experiment=redlock_unsafe_chaos", "trace=history", "~faults.clock", "~faults.pause", f"protocol.{remedy}"]
    assert {one.verdict for one in outcomes(words, range(5))} == {"valid"}
