"""Shares, memory and time of one placement."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from typing import NamedTuple

import numpy as np
from uhashring import HashRing

from experiments.placement_balance.strategies import STRATEGIES
from framework import Placement

KEYS = 4_000_000
"""Ids whose shares are counted; the theory of shares leaves out the noise of the sample."""
PLACED = 200_000
"""Ids of bounded_load, which has to know them."""
MANY = 10_000_000
"""Hashes of one look-up of many."""
SINGLE = 20_000


class Measured(NamedTuple):
    """One placement of so many nodes: the standard deviation of shares and the largest share (1 is the average) without the
    noise of sampling, bytes, seconds to build, seconds a single look-up, look-ups a second of many at once."""

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


def made(name: str, nodes: int, seed: int) -> tuple[Placement, list[int]]:
    """Returns a placement, and ids that it can place."""
    placement = STRATEGIES[name](names(nodes), seed)
    ids = list(range(PLACED))
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
    build = []
    for _ in range(3):
        begun = time.perf_counter()
        placement, _ = made(name, nodes, seed)
        placement.locate(ids[0])
        build.append(time.perf_counter() - begun)
    if placement.places_known_ids:
        hashes = placement.hash_many(ids)
    else:
        hashes = np.random.default_rng(seed).integers(0, 2**64, KEYS, dtype=np.uint64)
    begun = time.perf_counter()
    found = placement.locate_many(hashes)[:, 0]
    many = len(hashes) / (time.perf_counter() - begun)
    counts = np.bincount(found, minlength=nodes) * nodes / len(hashes)
    noise = nodes / len(hashes) if placement.max_count is None else 0.0
    deviation = float(np.sqrt(max(0.0, counts.var() - noise)))
    begun = time.perf_counter()
    for id in ids[:SINGLE]:
        placement.locate(id)
    single = (time.perf_counter() - begun) / SINGLE
    return Measured(name, nodes, seed, deviation, float(counts.max()), memory, statistics.median(build), single, many)


class Speed(NamedTuple):
    """Look-ups with 100 nodes: seconds of ten million at once, microseconds of a single one (0: not measured)."""

    name: str
    many: float
    single: float


def speeds(rounds: int) -> list[Speed]:
    """Measures all placements in turns, and the single look-ups of uhashring beside them; medians."""
    nodes = names(100)
    hashes = np.random.default_rng(1).integers(0, 2**64, MANY, dtype=np.uint64)
    keys = [f"user:{number}" for number in range(SINGLE)]
    chosen = {
        name: STRATEGIES[name](nodes, 0)
        for name in ("ring, 100", "rendezvous", "jump", "maglev, 65537", "multi_probe, 21", "modulo")
    }
    chosen["rendezvous, 32 bits"] = _rendezvous_32(nodes)
    other = HashRing(nodes=nodes)
    many: dict[str, list[float]] = {name: [] for name in chosen}
    single: dict[str, list[float]] = {name: [] for name in (*chosen, "uhashring")}
    for _ in range(rounds):
        for name, placement in chosen.items():
            begun = time.perf_counter()
            placement.locate_many(hashes)
            many[name].append(time.perf_counter() - begun)
        for name, placement in chosen.items():
            begun = time.perf_counter()
            for key in keys:
                placement.locate(key)
            single[name].append((time.perf_counter() - begun) / len(keys))
        begun = time.perf_counter()
        for key in keys:
            other.get_node(key)
        single["uhashring"].append((time.perf_counter() - begun) / len(keys))
    return [
        Speed(name, statistics.median(many[name]) if name in many else 0.0, statistics.median(single[name]) * 1e6)
        for name in single
    ]


def _rendezvous_32(nodes: list[str]) -> Placement:
    from plugins.placements.rendezvous import Rendezvous, RendezvousConfig

    return Rendezvous(RendezvousConfig(bits=32), nodes)
