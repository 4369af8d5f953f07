"""Runs of a sweep, taken one after the other in this process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from framework.sweep.point import RunRequest, run_point
from framework.sweep.rows import PointOutcome
from framework.sweep.tasks import Exhausted


def outcomes(overrides: Sequence[str], seeds: Iterable[int]) -> list[PointOutcome]:
    """What becomes of these seeds of an experiment."""
    found = []
    for seed in seeds:
        finished = run_point(
            RunRequest(number=seed, overrides=tuple(overrides), config_dir=None, seed=seed, command="")
        )
        found.append((finished.result if isinstance(finished, Exhausted) else finished).outcome)
    return found
