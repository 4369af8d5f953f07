"""One run: did the lock protect the store, and did it go on?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from experiments.lock_safety.scenarios import Line
from experiments.simulated import simulated
from framework.checking.verdict import Verdict


class Trial(NamedTuple):
    """What became of a run.

    `interfered`: the store saw somebody interfere with a holder. `two_holders`: two clients held the lock at the same
    time (checked of locks without leases). `blocked`: the lock was stuck in the end, or from the beginning.
    `out_of_order`: its nodes broke another invariant. `story`: of the interference.
    """

    line: Line
    seed: int
    verdict: str
    interfered: bool
    two_holders: bool
    blocked: bool
    out_of_order: bool
    turns: int
    reason: str
    story: tuple[str, ...]


def hold(line: Line, seeds: Iterable[int]) -> list[Trial]:
    """One run for each seed."""
    return [trial(line, seed) for seed in seeds]


def trial(line: Line, seed: int) -> Trial:
    """One run."""
    with simulated(line.settings, seed, may_fail=True) as run:
        result = run.result
        turns = sum(row["function"] == "acquire" and row["outcome"] == "ok" for row in run.run.history.to_pylist())
    broken = {check.name: check for check in result.checks if check.verdict is Verdict.INVALID}
    stuck = not turns or "lock_progress" in broken or any("no progress" in reason for reason in result.reasons)
    seen = stuck or "guarded_store" in broken or "mutual_exclusion" in broken
    shown = broken.get("guarded_store") or broken.get("mutual_exclusion")
    return Trial(
        line, seed, result.verdict.value, "guarded_store" in broken, "mutual_exclusion" in broken, stuck,
        result.verdict is Verdict.INVALID and not seen, turns,
        shown.reason if shown else "; ".join(result.reasons), shown.story if shown else (),
    )  # fmt: skip
