"""From trials to the table and the stories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.lock_safety.scenarios import (
    CALM,
    CLOCK_JUMPS,
    HOLDER_PAUSES,
    LOCKS,
    SCENARIOS,
    SERVER_FORGETS,
    LockUnderTest,
    Scenario,
)
from experiments.lock_safety.trial import Trial
from experiments.studies import show, write_rows


def report(trials: Sequence[Trial], folder: Path) -> bool:
    """Prints the tables; writes rows and stories into `folder`. Returns whether the claims of the README hold."""
    write_rows(folder / "trials.csv", {
        "lock": [one.line.lock.name for one in trials],
        "scenario": [one.line.scenario.name for one in trials],
        "fencing": [one.line.fencing for one in trials],
        "seed": [one.seed for one in trials],
        "verdict": [one.verdict for one in trials],
        "interfered": [one.interfered for one in trials],
        "two_holders": [one.two_holders for one in trials],
        "blocked": [one.blocked for one in trials],
        "out_of_order": [one.out_of_order for one in trials],
        "turns": [one.turns for one in trials],
        "reason": [one.reason for one in trials],
    })  # fmt: skip
    for scenario in SCENARIOS[1:]:
        print(f"{scenario.short}: {scenario.name}")
    for fencing in (False, True):
        show(
            f"The store {'checks tokens' if fencing else 'checks nothing'}: runs in which somebody interfered with a holder",
            ("", *(scenario.short for scenario in SCENARIOS)),
            [
                (lock.name, *(cell(trials, lock, scenario, fencing) for scenario in SCENARIOS))
                for lock in LOCKS
                if lock.tokens or not fencing
            ],
        )
    (folder / "stories.txt").write_text(stories(trials), encoding="utf-8")
    return holds(trials)


def holds(trials: Sequence[Trial]) -> bool:
    """Returns whether no fenced store was ever interfered with, runs without faults were valid, a holder's pause broke
    every lock with leases and no other, and the scenarios (a) and (a') broke Redlock always, and nothing else."""
    unfenced = [one for one in trials if not one.line.fencing]
    fenced = all(not one.interfered for one in trials if one.line.fencing)
    calm = all(one.verdict == "valid" for one in trials if one.line.scenario == CALM)

    def always(scenario: Scenario, names: Sequence[str]) -> bool:
        found = [one for one in unfenced if one.line.scenario == scenario]
        return all(one.interfered == (one.line.lock.name in names) for one in found)

    return (
        fenced
        and calm
        and always(HOLDER_PAUSES, [lock.name for lock in LOCKS if lock.lease])
        and always(CLOCK_JUMPS, ["Redlock", "Redlock, no fsync"])
        and always(SERVER_FORGETS, ["Redlock, no fsync"])
    )


def cell(trials: Sequence[Trial], lock: LockUnderTest, scenario: Scenario, fencing: bool) -> str:
    """Returns what the runs of one lock in one scenario show."""
    found = [
        one for one in trials
        if one.line.lock == lock and one.line.scenario == scenario and one.line.fencing == fencing
    ]  # fmt: skip
    count = len(found)
    words = []
    for name, number in (
        ("BROKEN", sum(one.interfered for one in found)),
        ("two holders", sum(one.two_holders and not one.interfered for one in found)),
        ("stuck", sum(one.blocked for one in found)),
        ("out of order", sum(one.out_of_order for one in found)),
    ):
        if number:
            words.append(f"{name} {number}/{count}")
    return ", ".join(words) or "ok"


def stories(trials: Sequence[Trial]) -> str:
    """Returns the first story of each lock and scenario in which somebody interfered."""
    told: dict[tuple[str, str], Trial] = {}
    for one in trials:
        if one.story:
            told.setdefault((one.line.scenario.name, one.line.lock.name), one)
    lines: list[str] = []
    for (scenario, lock), one in told.items():
        fencing = "with fencing" if one.line.fencing else "without fencing"
        lines += [f"{scenario}: {lock}, {fencing}, seed {one.seed}", f"  {one.reason}"]
        lines += [f"    {line}" for line in one.story]
        lines.append("")
    return "\n".join(lines)
