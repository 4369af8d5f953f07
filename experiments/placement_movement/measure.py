"""The ids that move when nodes come and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.placement_balance.measure import PLACED, names
from experiments.placement_balance.strategies import STRATEGIES
from framework import NodeId, Placement

KEYS = 1_000_000
NODES = 100

CHANGES: dict[str, tuple[Sequence[NodeId], Sequence[NodeId]]] = {
    "1 joins": (("n101",), ()),
    "10 join": (tuple(f"n{number}" for number in range(101, 111)), ()),
    "the last leaves": ((), ("n100",)),
    "1 in the middle leaves": ((), ("n50",)),
    "10 fail": ((), tuple(f"n{number}" for number in range(5, 100, 10))),
    "1 is replaced": (("n101",), ("n50",)),
}
"""The nodes that come and that go, of a hundred."""


class Moved(NamedTuple):
    """A change of a placement: the share of ids that moved, and the least that must (the ids of nodes that go, and what the
    nodes that come have afterwards). For Maglev, the share of the table's entries that changed though their node stays, and
    belong to no node that came."""

    name: str
    change: str
    seed: int
    moved: float
    least: float
    needless: float


def moved(name: str, change: str, seed: int) -> Moved:
    """Counts what moves."""
    come, go = CHANGES[change]
    placement = STRATEGIES[name](names(NODES), seed)
    if placement.max_count == 1:
        ids = range(PLACED)
        placement.place(ids)
        hashes = placement.hash_many(ids)
    else:
        hashes = np.random.default_rng(seed).integers(0, 2**64, KEYS, dtype=np.uint64)
    before, table = _owners(placement, hashes), _table(placement)
    for node in go:
        placement.remove(node)
    for node in come:
        placement.add(node)
    after, new_table = _owners(placement, hashes), _table(placement)
    changed = before != after
    must = np.isin(before, go) | np.isin(after, come)
    needless = (table != new_table) & ~np.isin(table, go) & ~np.isin(new_table, come)
    return Moved(
        name, change, seed, float(changed.mean()), float(must.mean()), float(needless.mean()) if len(table) else 0.0
    )


def _owners(placement: Placement, hashes: np.ndarray) -> np.ndarray:
    return np.array(placement.nodes)[placement.locate_many(hashes)[:, 0]]


def _table(placement: Placement) -> np.ndarray:
    table = getattr(placement, "table", None)
    return np.zeros(0, dtype=str) if table is None else np.array(placement.nodes)[table]
