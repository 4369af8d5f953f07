"""Compares two runs: the one that failed, and the smaller one that still fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from framework.checking.verdict import Verdict
from framework.shrink.trial import Trial


def of_both(before: Trial, after: Trial) -> Iterator[str]:
    """Yields a table with one line for each dimension."""
    rows = [("", "before", "after"), *zip(_names(), _values(before), _values(after), strict=True)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, one, other in rows:
        yield f"{name:<{widths[0]}}  {one:>{widths[1]}}  {other:>{widths[2]}}".rstrip()


def _names() -> tuple[str, ...]:
    return (
        "nodes", "clients", "duration", "operations", "faults", "times they struck", "network", "messages", "steps", "seed",
    )  # fmt: skip


def _values(trial: Trial) -> tuple[str, ...]:
    config, result = trial.config, trial.result
    return (
        str(config["nodes"]),
        str(config["clients"]),
        str(config["duration"]),
        f"{sum(result.operations.values()):,}",
        _listed(config.get("faults") or {}),
        f"{sum(result.faults.values()):,}",
        str(config["network"]["name"]),
        f"{sum(result.messages.values()):,}",
        f"{result.steps:,}",
        str(config["seed"]),
    )


def _listed(faults: dict[str, Any]) -> str:
    names = sorted(str(fault.get("name", key)) for key, fault in faults.items())
    if len(names) > 3:
        return f"{len(names)}"
    return f"{len(names)} ({', '.join(names)})" if names else "none"


def story_of(trial: Trial) -> Iterator[str]:
    """Yields the reason why the run failed, and the shortest evidence that was found."""
    for reason in trial.result.reasons[:1]:
        yield " ".join(reason.split())
    for check in trial.result.checks:
        if check.verdict is Verdict.INVALID:
            yield from (f"  {line}" for line in check.story)
