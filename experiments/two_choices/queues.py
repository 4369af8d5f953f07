"""Queues: requests come to n servers at rate `load` for each, and take one service time on average, exponentially. Each
joins the shortest of d queues drawn at random, as these are, or as they were when all servers last reported.

Times are in units of the mean service time.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import count
from typing import NamedTuple

import numpy as np

SERVERS, MEASURED = 500, 1_500
"""The number of servers, and the service times that are measured."""
HIGH_LOAD, MANY_SERVERS, LONG = 0.96, 2_000, 4_000
"""The load above which it takes more of both: a surplus of requests lasts for 1 / (1 - load) times their number a
server."""
WARM_UP = 300
"""Service times that pass before the measurement."""

ALL = 0
"""In place of d: the least loaded of all servers."""


class Queues(NamedTuple):
    """The mean time of a request in the system. `age`: the time between two reports of all servers; 0: loads are
    fresh."""

    load: float
    d: int
    age: float
    mean_time: float


def theory(load: float, d: int) -> float:
    """Returns the mean time in the system of many servers with fresh loads: 1 / (1 - load) for d = 1, else the sum over
    i of load to the power of (d^i - d) / (d - 1) (Mitzenmacher, 2001, theorem 1; Vvedenskaya, Dobrushin and
    Karpelevich, 1996)."""
    if d == 1:
        return 1 / (1 - load)
    total = 0.0
    for i in count(1):
        term = load ** ((d**i - d) / (d - 1))
        total += term
        if term < 1e-12:
            break
    return total


def queue(line: tuple[float, int, float], seeds: Iterable[int]) -> list[Queues]:
    """Simulates `line`, (load, d, age), once for each seed."""
    load, d, age = line
    if d == 1:
        return [Queues(load, d, age, random_choice(load, seed)) for seed in seeds]
    size = (MANY_SERVERS, LONG) if load > HIGH_LOAD else (SERVERS, MEASURED)
    return [Queues(load, d, age, choices(load, d, age, seed, *size)) for seed in seeds]


def random_choice(load: float, seed: int, steps: int = 200_000, side_by_side: int = 1_000) -> float:
    """Returns the mean time in the system of single queues: what each server is under a random choice.

    Simulates many queues side by side by Lindley's recurrence, each for `steps` requests, of which the first half is
    the warm-up: at a load of 0.99 a queue takes some 40,000 service times to forget that it was empty.
    """
    rng = np.random.default_rng((seed, round(load * 1_000)))
    waited = np.zeros(side_by_side)
    total = 0.0
    for step in range(steps):
        served = rng.standard_exponential(side_by_side)
        if step >= steps // 2:
            total += float((waited + served).mean())
        waited = np.maximum(0.0, waited + served - rng.standard_exponential(side_by_side) / load)
    return total / (steps - steps // 2)


def choices(load: float, d: int, age: float, seed: int, servers: int, measured: int) -> float:
    """Returns the mean time in the system, by Little's law from the mean number of requests in it.

    Events come at rate servers·(1 + load): arrivals with probability load / (1 + load), else the end of a service at a
    server drawn at random, if it has a request. Starts from the distribution of the limit of many servers.
    """
    rng = random.Random(seed * 1_000_003 + round(load * 1_000) * 1_009 + d * 101 + round(age * 10))
    lengths = [_stationary(load, max(d, 2), (index + 0.5) / servers) for index in range(servers)]
    rng.shuffle(lengths)
    known = list(lengths) if age else lengths
    least = _least(known)
    arrival, rate = load / (1 + load), servers * (1 + load)
    period = max(1, round(age * rate)) if age else 0
    begin, end = round(WARM_UP * rate), round((WARM_UP + measured) * rate)
    inside, total, draw = sum(lengths), 0, rng.random
    for event in range(end):
        if period and event % period == 0:
            known = list(lengths)
            least = _least(known)
        if draw() < arrival:
            if d == ALL:
                chosen = least[int(draw() * len(least))]
            else:
                chosen = int(draw() * servers)
                for _ in range(d - 1):
                    other = int(draw() * servers)
                    if known[other] < known[chosen]:
                        chosen = other
            lengths[chosen] += 1
            inside += 1
        else:
            chosen = int(draw() * servers)
            if lengths[chosen]:
                lengths[chosen] -= 1
                inside -= 1
        if event >= begin:
            total += inside
    return total / (end - begin) / (load * servers)


def _stationary(load: float, d: int, above: float) -> int:
    """Returns the length that a share `above` of the queues exceeds in the limit."""
    length = 0
    while load ** ((d ** (length + 1) - 1) / (d - 1)) > above:
        length += 1
    return length


def _least(lengths: list[int]) -> list[int]:
    shortest = min(lengths)
    return [index for index, length in enumerate(lengths) if length == shortest]
