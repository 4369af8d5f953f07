"""Balls in bins: n balls, each into the least full of d bins drawn at random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

TOGETHER = 100
"""Trials that are thrown side by side: one step of numpy throws one ball of each."""


class Throws(NamedTuple):
    """The fullest bin in many trials: how often it had so many balls."""

    n: int
    d: int
    maxima: dict[int, int]


def throw(line: tuple[int, int], seeds: Iterable[int]) -> list[Throws]:
    """Throws `TOGETHER` trials for each seed; `line` is (n, d)."""
    return [Throws(*line, dict(Counter(fullest(*line, TOGETHER, seed)))) for seed in seeds]


def fullest(n: int, d: int, trials: int, seed: int) -> list[int]:
    """Returns the number of balls in the fullest bin of each trial. Bins are drawn with replacement, and among equals
    the first drawn is taken (Azar and others, 1999)."""
    rng = np.random.default_rng((seed, n, d))
    loads = np.zeros((trials, n), dtype=np.int8)
    row = np.arange(trials)
    for begin in range(0, n, 1024):
        drawn = rng.integers(n, size=(min(1024, n - begin), d, trials), dtype=np.int32)
        for bins in drawn:
            found = loads[row, bins]  # shape [d, trials]
            loads[row, bins[found.argmin(axis=0), row]] += 1
    return [int(most) for most in loads.max(axis=1)]
