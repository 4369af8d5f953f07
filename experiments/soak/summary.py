"""What a soak came to, in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from experiments.soak.seeds import Outcome
from framework.runs.shared_state import cause

SHOWN = 20
"""Failures whose command is printed; all stand in the file."""

_LISTED = 5

_PARTICULARS = re.compile(r"\d[\d.,]*\w*|'[^']*'|\b[nck]\d+\b")


def summary(outcomes: Sequence[Outcome], command: Callable[[int], str], took_s: float, done: int) -> list[str]:
    """Verdicts with kinds of reason, strikes by kind, what sometimes happened, the pace, and how to see failures again.

    `done` seeds took `took_s` now; the others had been done before.
    """
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    counted = ", ".join(f"{verdicts[name]:,} {name}" for name in ("valid", "unknown", "invalid"))
    lines = [*_dependent(outcomes), f"{len(outcomes):,} seeds: {counted}"]
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
    told = shown(outcomes)
    for outcome in told:
        lines += [f"seed {outcome.seed}, {outcome.verdict}: {outcome.reasons[0]}", f"  {command(outcome.seed)}"]
    more = sum(outcome.verdict != "valid" for outcome in outcomes) - len(told)
    return [*lines, f"… {more} more in the file"] if more else lines


def shown(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The failures whose commands are printed; where seeds depend on others, only those that fail alone too."""
    kept = _reliable(outcomes)
    failures = [outcome for outcome in kept if outcome.verdict != "valid"]
    return sorted(failures, key=lambda one: (one.verdict, one.seed))[:SHOWN]


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """1 if any seed is invalid, else 2 if any is unknown or depends on others, or there is none, else 0."""
    found = list(outcomes)
    verdicts = {outcome.verdict for outcome in _reliable(found)}
    return 1 if "invalid" in verdicts else 0 if verdicts == {"valid"} and not _dependent(found) else 2


def _reliable(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """All outcomes; if one differs in a process of its own, only those that were run so."""
    found = list(outcomes)
    return [outcome for outcome in found if outcome.alone] if any(outcome.another for outcome in found) else found


def _dependent(outcomes: Iterable[Outcome]) -> list[str]:
    """Says which seeds differ in a process of their own, and why; nothing if none does."""
    others = [outcome for outcome in outcomes if outcome.another]
    if not others:
        return []
    seeds = ", ".join(str(outcome.seed) for outcome in others[:_LISTED]) + (", …" if len(others) > _LISTED else "")
    why = cause(sorted({name for outcome in others for name in outcome.shared}))
    told = f"seeds {seeds} came out otherwise in a process of their own, so that no outcome counts. {why}."
    return [f"{told} Then begin anew with another --dir."]


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
    """A reason without numbers, names and what follows the first semicolon, so that like reasons are counted together."""
    return _PARTICULARS.sub("…", " ".join(reason.partition("; ")[0].split()))
