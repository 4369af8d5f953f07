"""The ids that move when nodes come and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from experiments.placement_balance.measure import PLACED, names
from experiments.placement_balance.strategies import STRATEGIES
from framework import NodeId, Placement

KEYS = 300_000
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
    if placement.places_known_ids:
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
    gone, new = [_number(node) for node in go], [_number(node) for node in come]
    changed = before != after
    must = np.isin(before, gone) | np.isin(after, new)
    needless = (table != new_table) & ~np.isin(table, gone) & ~np.isin(new_table, new)
    return Moved(
        name, change, seed, float(changed.mean()), float(must.mean()), float(needless.mean()) if len(table) else 0.0
    )


Numbers: TypeAlias = npt.NDArray[np.int32]


def _owners(placement: Placement, hashes: npt.NDArray[np.uint64]) -> Numbers:
    """Returns the number of the node of each hash."""
    return _numbers(placement)[placement.locate_many(hashes)[:, 0]]


def _table(placement: Placement) -> Numbers:
    """Returns the numbers of the nodes in Maglev's table; none for another placement."""
    table = getattr(placement, "table", None)
    return np.zeros(0, dtype=np.int32) if table is None else _numbers(placement)[table]


def _numbers(placement: Placement) -> Numbers:
    return np.array([_number(node) for node in placement.nodes], dtype=np.int32)


def _number(node: NodeId) -> int:
    return int(node.removeprefix("n"))
