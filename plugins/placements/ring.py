"""Consistent hashing on a ring (Karger, Lehman, Leighton, Panigrahy, Levine and Lewin, STOC 1997)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Annotated

import numpy as np
from msgspec import Meta

from framework import Hashes, Indices, NodeId, Placement, PlacementConfig, PlacementSpec, hookimpl

_MOST_POINTS = 10_000_000
"""The largest number of points on a ring."""


class RingConfig(PlacementConfig):
    """The number of points of a node."""

    points: Annotated[int, Meta(ge=1)] = 100
    """Points (virtual nodes) of a node of weight 1. The deviation of a node's share is about 1/√points."""


class Ring(Placement):
    """Each node has points on a ring of 2⁶⁴ positions, as many as its weight asks for. An id belongs to the first point
    at or after its hash; further replicas go to the owners of the points that follow.

    A look-up is a binary search, for one id among the few points that share its leading bits. A new node takes ids only
    from the owners of the points that follow its own.
    """

    weights = True
    moves_minimally_on = ("add", "add_last", "remove", "remove_last")

    def __init__(self, config: RingConfig, nodes: Iterable[NodeId] = ()) -> None:
        self._points_of: dict[NodeId, Hashes] = {}
        super().__init__(config, nodes)

    def rebuild(self) -> None:
        known = self._points_of
        for gone in known.keys() - set(self.nodes):
            del known[gone]
        counts = [max(1, round(self.config.points * member.weight)) for member in self.members]
        if sum(counts) > _MOST_POINTS:
            what = f"points={self.config.points} and the weights ask for {sum(counts):,} points"
            raise ValueError(f"{what}, and a ring takes {_MOST_POINTS:,}: give fewer points, or smaller weights")
        for member, count in zip(self.members, counts, strict=True):
            if len(known.get(member.node, ())) != count:
                known[member.node] = self.hash_many(f"{member.node}#{number}" for number in range(count))
        owners = np.repeat(
            np.arange(len(self.nodes), dtype=np.int32), [len(known[member.node]) for member in self.members]
        )
        points = np.concatenate([known[node] for node in self.nodes])
        order = np.lexsort((owners, points))  # of equal points, the one of the first node is first
        self._points, self._owners = points[order], owners[order]
        self._point_list: list[int] = self._points.tolist()
        self._owner_list: list[int] = [*self._owners.tolist(), int(self._owners[0])]  # after the last comes the first
        bits = max(1, len(order) // 4).bit_length()
        self._shift = 64 - bits
        heads = np.arange(1 << bits, dtype=np.uint64) << np.uint64(self._shift)
        self._starts: list[int] = [*np.searchsorted(self._points, heads).tolist(), len(order)]

    def first(self, hash: int) -> int:
        head = hash >> self._shift
        return self._owner_list[bisect_left(self._point_list, hash, self._starts[head], self._starts[head + 1])]

    def candidates(self, hash: int) -> Iterator[int]:
        index = bisect_left(self._point_list, hash)
        while True:
            yield from self._owner_list[index:-1]
            index = 0

    def column(self, hashes: Hashes, position: int) -> Indices:
        found = np.searchsorted(self._points, hashes) + position
        return self._owners[found % len(self._owners)]


@hookimpl
def register_placements() -> list[PlacementSpec]:
    return [
        PlacementSpec(
            name="ring", placement=Ring, config=RingConfig,
            summary="Consistent hashing: nodes have points on a ring (Karger and others, 1997).",
        )
    ]  # fmt: skip
