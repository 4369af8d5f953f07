"""What a soak came to, in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from experiments.soak.seeds import Outcome

SHOWN = 20
"""Failures whose command is printed; all stand in the file."""

_PARTICULARS = re.compile(r"\d[\d.,]*\w*|'[^']*'|\b[nck]\d+\b")


def summary(outcomes: Sequence[Outcome], command: Callable[[int], str], took_s: float, done: int) -> list[str]:
    """Verdicts with kinds of reason, strikes by kind, what sometimes happened, the pace, and how to see failures again.

    `done` seeds took `took_s` now; the others had been done before.
    """
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    counted = ", ".join(f"{verdicts[name]:,} {name}" for name in ("valid", "unknown", "invalid"))
    lines = [f"{len(outcomes):,} seeds: {counted}"]
    for verdict in ("invalid", "unknown"):
        reasons = Counter(_kind(outcome.reasons[0]) for outcome in outcomes if outcome.verdict == verdict)
        lines += [f"  {verdict} {count:,} times: {reason}" for reason, count in reasons.most_common()]
    lines.append(f"operations that succeeded: {sum(outcome.operations for outcome in outcomes):,}")
    lines += _counts("strikes", (outcome.faults for outcome in outcomes))
    lines += _counts("sometimes", (outcome.sometimes for outcome in outcomes))
    if done:
        alone = sorted(outcome.took_s for outcome in outcomes)
        lines.append(
            f"{done / took_s:.1f} seeds/s; a seed takes {alone[len(alone) // 2]:.2f} s (median), {alone[-1]:.2f} s at the most"
        )
    failures = [outcome for outcome in outcomes if outcome.verdict != "valid"]
    for outcome in sorted(failures, key=lambda one: (one.verdict, one.seed))[:SHOWN]:
        lines += [f"seed {outcome.seed}, {outcome.verdict}: {outcome.reasons[0]}", f"  {command(outcome.seed)}"]
    if len(failures) > SHOWN:
        lines.append(f"… {len(failures) - SHOWN} more in the file")
    return lines


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """1 if any seed is invalid, else 2 if any is unknown or there is none, else 0."""
    verdicts = {outcome.verdict for outcome in outcomes}
    return 1 if "invalid" in verdicts else 0 if verdicts == {"valid"} else 2


def _counts(title: str, counts: Iterable[dict[str, int]]) -> list[str]:
    """By name: how many in all, and in how many seeds."""
    total: Counter[str] = Counter()
    seeds: Counter[str] = Counter()
    for one in counts:
        total.update(one)
        seeds.update(name for name, count in one.items() if count)
    return (
        [title, *(f"  {name:24} {total[name]:8,}  in {seeds[name]:,} seeds" for name in sorted(total))] if total else []
    )


def _kind(reason: str) -> str:
    """A reason without its particulars, so that the same ones are counted together: what follows a semicolon is some."""
    return _PARTICULARS.sub("…", " ".join(reason.partition("; ")[0].split()))
