"""How long nothing was committed around a crash, read from a run's history and ledger."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from framework import open_run
from framework.core.errors import SynodError

WITHIN = 3_000_000_000
"""How long after a crash its gap is looked for, nanoseconds."""


class NoCrash(SynodError):
    """A run in which no leader was crashed tells nothing."""


@dataclass(frozen=True)
class Gap:
    """Times in nanoseconds of the run: the crash, the next operation committed by another leader, both ends of the
    gap."""

    crash: int
    begins: int
    ends: int

    @property
    def outage(self) -> int:
        """From the crash to the end of the gap."""
        return self.ends - self.crash


def gap_after(crash: int, completed: Sequence[int]) -> Gap:
    """The longest time without a completed operation that ends after `crash`, among sorted times; NoCrash if none does.

    Answers that the leader had sent before it died may arrive after the crash, so the gap need not begin there.
    """
    first = bisect_right(completed, crash)
    later = [at for at in completed[first:] if at <= crash + WITHIN]
    if not later:
        raise NoCrash(f"no operation completed within {WITHIN / 1e9:g} s of the crash")
    edges = [completed[first - 1] if first else 0, *later]
    begins, ends = max(itertools.pairwise(edges), key=lambda pair: pair[1] - max(pair[0], crash))
    return Gap(crash, begins, ends)


def gap_of(folder: Path) -> Gap:
    """The gap around the leader's crash in a run's folder."""
    run = open_run(folder)
    crashes: list[dict[str, Any]] = [crash for crash in run.result["crashes"] if crash["why"] == "fault"]
    if not crashes:
        raise NoCrash(f"{folder}: no leader was crashed")
    history = run.history
    done = history.filter(pc.equal(history["outcome"], "ok"))["completed"].to_pylist()
    return gap_after(round(crashes[0]["time_s"] * 1e9), sorted(done))
