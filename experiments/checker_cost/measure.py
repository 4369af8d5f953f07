"""Takes one check, in a process of its own."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass

from experiments.checker_cost.histories import recorded
from experiments.checker_cost.rows import Row
from framework.checking.history.calls import no_endings
from framework.checking.linearizability.bounds import DEFAULT
from framework.checking.linearizability.checker import find
from framework.checking.models.catalog import model_named
from framework.sweep.pool import results


@dataclass(frozen=True)
class Check:
    """One check: its verdict and cost, and what memory the process had before and after, at the most.

    `seconds` went by until the verdict, `evidence_s` until its evidence was found.
    """

    verdict: str
    seconds: float
    evidence_s: float
    steps: int
    before_mib: float
    after_mib: float


def check(row: Row, seed: int) -> Check:
    """Makes the row's history and checks it, in this process."""
    model = model_named(row.model)
    if row.start is not None:
        model = model.starting(row.start)
    calls = recorded(seed, row)
    before, began = _peak_mib(), time.perf_counter()
    finding = find(calls, model, DEFAULT, no_endings)
    decided = time.perf_counter()
    finding.explained()
    ended = time.perf_counter()
    return Check(
        finding.result.verdict.value, decided - began, ended - decided, finding.result.steps, before, _peak_mib()
    )


def measure(row: Row, repeat: int) -> list[Check]:
    """The row with seeds 0, 1, …, each in a fresh process."""
    return [one for number in range(repeat) for one in results(check, [(row, number)], 1)]


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
