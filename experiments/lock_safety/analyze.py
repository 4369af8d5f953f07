"""From trials to the table and the stories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.lock_safety.scenarios import LOCKS, SCENARIOS, LockUnderTest, Scenario
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
        "turns": [one.turns for one in trials],
        "reason": [one.reason for one in trials],
    })  # fmt: skip
    for fencing in (False, True):
        locks = [lock for lock in LOCKS if lock.tokens or not fencing]
        show(
            f"The store {'checks tokens' if fencing else 'checks nothing'}: runs in which it saw interference, or the lock was stuck",
            ("", *(lock.name for lock in locks)),
            [(scenario.name, *(cell(trials, lock, scenario, fencing) for lock in locks)) for scenario in SCENARIOS],
        )
    (folder / "stories.txt").write_text(stories(trials), encoding="utf-8")
    return holds(trials)


def holds(trials: Sequence[Trial]) -> bool:
    """Returns whether no fenced store was ever interfered with, nothing happened without faults, and each of Kleppmann's
    scenarios broke Redlock."""
    fenced = all(not one.interfered for one in trials if one.line.fencing)
    calm = all(one.verdict == "valid" for one in trials if one.line.scenario is SCENARIOS[0])
    pauses = [one for one in trials if one.line.scenario.name.startswith("(b)") and not one.line.fencing]
    broken = {one.line.lock.name for one in pauses if one.interfered}
    leased = {lock.name for lock in LOCKS[:4]}
    clocks = any(
        one.interfered for one in trials if one.line.scenario.name.startswith("(a)") and one.line.lock is LOCKS[2]
    )
    return fenced and calm and broken == leased and clocks


def cell(trials: Sequence[Trial], lock: LockUnderTest, scenario: Scenario, fencing: bool) -> str:
    """Returns what the runs of one lock in one scenario show."""
    found = [
        one for one in trials
        if one.line.lock == lock and one.line.scenario == scenario and one.line.fencing == fencing
    ]  # fmt: skip
    count = len(found)
    words = []
    for name, number in (
        ("INTERFERED", sum(one.interfered for one in found)),
        ("two holders", sum(one.two_holders and not one.interfered for one in found)),
        ("stuck", sum(one.blocked for one in found)),
    ):
        if number:
            words.append(f"{name} {number}/{count}")
    return ", ".join(words) or "safe"


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
