"""Shares, memory and time of one placement."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from uhashring import HashRing

from experiments.placement_balance.strategies import STRATEGIES
from framework import Placement

KEYS = 4_000_000
"""Ids whose shares are counted; the theory of shares leaves out the noise of the sample."""
PLACED = 200_000
"""Ids of bounded_load, which has to know them."""
MANY = 10_000_000
"""Hashes of one look-up of many."""
ALONE = 500
"""Single look-ups of each placement."""
SINGLE = 5_000
"""Single look-ups of those whose speed is compared."""
COMPARED = ("ring, 100", "rendezvous", "rendezvous, 32 bits", "jump", "maglev, 65537", "modulo")
"""Placements whose speed is compared."""
YARDSTICK = "jump, plain NumPy"
"""What tells how fast the machine is."""


class Measured(NamedTuple):
    """One placement of so many nodes: the standard deviation of shares without the noise of the sample, and the largest share
    with it (1 is the average); bytes; in seconds of the processor, the time to build and that of a single look-up; look-ups a second of
    many at once."""

    name: str
    nodes: int
    seed: int
    deviation: float
    largest: float
    memory: int
    build: float
    single: float
    many: float


def names(count: int) -> list[str]:
    return [f"n{number}" for number in range(1, count + 1)]


def made(name: str, nodes: int, seed: int) -> tuple[Placement, range]:
    """Returns a placement, and ids that it can place."""
    placement = STRATEGIES[name](names(nodes), seed)
    ids = range(PLACED)
    if placement.places_known_ids:
        placement.place(ids)
    return placement, ids


def measured(name: str, nodes: int, seed: int) -> Measured:
    """Measures a placement. Shares and memory are the same in each run, times are not."""
    tracemalloc.start()
    placement, ids = made(name, nodes, seed)
    placement.locate(ids[0])
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    begun = time.process_time()
    placement, _ = made(name, nodes, seed)
    placement.locate(ids[0])
    build = time.process_time() - begun
    if placement.places_known_ids:
        hashes = placement.hash_many(ids)
    else:
        hashes = np.random.default_rng(seed).integers(0, 2**64, KEYS, dtype=np.uint64)
    begun = time.process_time()
    found = placement.locate_many(hashes)[:, 0]
    many = len(hashes) / (time.process_time() - begun)
    counts = np.bincount(found, minlength=nodes) * nodes / len(hashes)
    noise = nodes / len(hashes) if placement.max_count is None else 0.0
    deviation = float(np.sqrt(max(0.0, counts.var() - noise)))
    begun = time.process_time()
    for id in ids[:ALONE]:
        placement.locate(id)
    single = (time.process_time() - begun) / ALONE
    return Measured(name, nodes, seed, deviation, float(counts.max()), memory, build, single, many)


class Speed(NamedTuple):
    """Look-ups with 100 nodes: seconds of ten million at once, by the clock and of the processor, and the microseconds of the
    processor that a single one takes (0: not measured)."""

    name: str
    many: float
    many_cpu: float
    single: float


def speeds(rounds: int, many: int = MANY, single: int = SINGLE) -> list[Speed]:
    """Measures all placements in turns, and beside them jump as anyone would write it in NumPy, and the single look-ups of
    uhashring; medians of the rounds."""
    nodes = names(100)
    hashes = np.random.default_rng(1).integers(0, 2**64, many, dtype=np.uint64)
    keys = [f"user:{number}" for number in range(single)]
    chosen = {name: STRATEGIES[name](nodes, 0) for name in COMPARED}
    other = HashRing(nodes=nodes)
    at_once: dict[str, Callable[[], object]] = {YARDSTICK: lambda: plain_jump(hashes, len(nodes))}
    at_once |= {name: partial(placement.locate_many, hashes) for name, placement in chosen.items()}
    one_by_one: dict[str, Callable[[str], object]] = {name: placement.locate for name, placement in chosen.items()}
    one_by_one["uhashring"] = other.get_node
    clock, cpu, alone = defaultdict(list), defaultdict(list), defaultdict(list)
    for _ in range(rounds):
        for name, look_up in at_once.items():
            begun, begun_cpu = time.perf_counter(), time.process_time()
            look_up()
            cpu[name].append(time.process_time() - begun_cpu)
            clock[name].append(time.perf_counter() - begun)
        for name, locate in one_by_one.items():
            begun_cpu = time.process_time()
            for key in keys:
                locate(key)
            alone[name].append((time.process_time() - begun_cpu) / single)
    return [
        Speed(name, *(statistics.median(taken[name]) if name in taken else 0.0 for taken in (clock, cpu)),
              statistics.median(alone[name]) * 1e6 if name in alone else 0.0)
        for name in dict.fromkeys([*at_once, *one_by_one])
    ]  # fmt: skip


def plain_jump(hashes: npt.NDArray[np.uint64], nodes: int) -> npt.NDArray[np.int64]:
    """Returns the bucket of each hash by jump consistent hash, written in NumPy without care for its caches."""
    buckets, following = np.zeros(len(hashes), dtype=np.int64), np.zeros(len(hashes), dtype=np.int64)
    places, state = np.arange(len(hashes)), hashes
    while len(places):
        buckets[places] = following
        state = state * np.uint64(2862933555777941757) + np.uint64(1)
        following = ((following + 1) * (2.0**31 / ((state >> np.uint64(33)) + np.uint64(1)))).astype(np.int64)
        goes_on = following < nodes
        places, state, following = places[goes_on], state[goes_on], following[goes_on]
    return buckets
