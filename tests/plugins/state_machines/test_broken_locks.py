"""What checks the lock machine catches lock machines that are broken on purpose: comparisons with the twin and with a
replica that has restored nothing; and the checkers of runs over Raft."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework import Verdict
from framework.replication import sessions
from framework.replication.sessions import MachineClock, Stamp
from plugins.state_machines.lock import LockMachine
from tests.plugins.checkers.judged import judged
from tests.plugins.state_machines.broken_locks import BROKEN
from tests.plugins.state_machines.test_lock import Fed, check_new_leader, check_snapshots, check_twin

PLUGIN = "plugins.path=[tests/plugins/state_machines/broken_locks.py]"
QUEUE: list[Fed] = [
    (0, "acquire", "a", 0, 0),
    (1, "try", "a", 4, 0),
    (2, "acquire", "a", 0, 0),
    (3, "acquire", "a", 0, 0),
    (3, "release", "a", 0, 1),
    (2, "keep_alive", "a", 0, 3),
    (0, "release", "a", 0, 1),
    (4, "acquire", "a", 0, 3),
    (3, "keep_alive", "a", 0, 3),
    (0, "keep_alive", "a", 0, 0),
    (2, "keep_alive", "a", 0, 12),
]
RESTORED = {2, 6}


@pytest.mark.parametrize("name", [name for name in BROKEN if "forgets" in name or "reuses" in name])
def test_a_replica_that_has_restored_a_snapshot_shows_what_the_snapshot_lacks(name: str) -> None:
    check_snapshots(LockMachine, QUEUE, RESTORED)
    with pytest.raises(AssertionError):
        check_snapshots(BROKEN[name], QUEUE, RESTORED)


@pytest.mark.parametrize("name", [name for name in BROKEN if "forgets" not in name and "reuses" not in name])
def test_the_twin_shows_who_should_have_had_the_lock(name: str) -> None:
    check_twin(LockMachine, QUEUE)
    with pytest.raises(AssertionError):
        check_twin(BROKEN[name], QUEUE)


class CountsEveryStamp(MachineClock):
    """The time that a new leader has measured before its first stamp counts, as if leases ran on by its own clock."""

    def elapsed(self, index: int, stamp: Stamp) -> int:
        super().elapsed(index, stamp)
        return stamp.elapsed


def test_leases_that_run_on_by_the_clock_of_a_new_leader_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MachineClock", CountsEveryStamp)
    with pytest.raises(AssertionError):
        check_new_leader()


@pytest.mark.long
@pytest.mark.parametrize("name", ["lock_forgets_the_count", "lock_reuses_tokens", "lock_forgets_sessions"])
def test_a_run_with_short_logs_shows_what_snapshots_lack(name: str, tmp_path: Path) -> None:
    words = ["experiment=raft_lock_chaos", PLUGIN, "protocol.snapshot_every=8", "protocol.snapshot_trailing=2"]
    assert judged(tmp_path / "itself", *words, "seed=1").verdict is Verdict.VALID
    found = [judged(tmp_path / str(seed), *words, f"state_machine={name}", f"seed={seed}") for seed in range(3)]
    reasons = [result.reasons[0].partition(":")[0] for result in found if result.verdict is Verdict.INVALID]
    assert reasons and {*reasons} <= {"snapshot safety", "state machine safety", "fencing_tokens", "convergence"}, (
        reasons
    )
