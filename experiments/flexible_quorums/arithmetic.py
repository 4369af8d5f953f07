"""What order statistics say of waiting for the nearest nodes of a quorum. Milliseconds, by sampling with a fixed
seed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

MEDIAN_MS, SIGMA = 1.0, 0.75
"""The lognormal law of every delay, one way."""

_SAMPLES = 100_000


@lru_cache
def waits(nodes: int, quorum: int, thrifty: bool, hops: int) -> tuple[float, float]:
    """Median and p99 until `quorum` of `nodes` agree, the asking node one of them, and `hops` messages besides.

    Whoever asks all waits for the fastest; who is thrifty asks no more than it needs, and waits for the slowest of
    them.
    """
    waits = _delays(hops, seed=2).sum(axis=1)
    if quorum > 1:
        waits = waits + _rounds(nodes, thrifty)[:, quorum - 2]
    median, p99 = np.quantile(waits, (0.5, 0.99))
    return float(median), float(p99)


@lru_cache
def _rounds(nodes: int, thrifty: bool) -> np.ndarray[Any, Any]:
    """In column k, how long it takes until k + 1 others have answered."""
    rounds = _delays(nodes - 1, seed=0) + _delays(nodes - 1, seed=1)
    return np.maximum.accumulate(rounds, axis=1) if thrifty else np.sort(rounds, axis=1)


def _delays(count: int, seed: int) -> np.ndarray[Any, Any]:
    return MEDIAN_MS * np.exp(SIGMA * np.random.default_rng(seed).standard_normal((_SAMPLES, count)))


def capacity(quorum: int, nodes: int, thrifty: bool, service_us: float) -> float:
    """Operations a second where the leader's processor takes in one request, and the answer of each that it asked."""
    answers = (quorum if thrifty else nodes) - 1
    return 1e6 / (service_us * (1 + answers))
