"""Jump consistent hash (Lamping and Veach, *A Fast, Minimal Memory, Consistent Hash Algorithm*, 2014)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from framework import Hashes, Indices, NodeId, PlacementConfig, PlacementSpec, RehashedPlacement, hookimpl

_MULTIPLIER = 2862933555777941757
_MASK = (1 << 64) - 1

_CHUNK = 1 << 14
"""Hashes that jump together, so that they stay in the cache."""


class Jump(RehashedPlacement):
    """An id jumps from bucket to bucket, ever farther; the last one below the number of buckets has it.

    Buckets are numbered, and only the last one can go without moving more than its own ids. Nodes are the buckets in
    the order of their names. If another node than the last is removed, the last one takes its number: about 2/n of the
    ids move. From then on the order depends on what was removed: nodes added since come last, in the order of their
    names.
    """

    moves_minimally_on = ("add_last", "remove_last")

    def __init__(self, config: PlacementConfig, nodes: Iterable[NodeId] = ()) -> None:
        self._buckets: tuple[NodeId, ...] = ()
        super().__init__(config, nodes)

    def remove(self, node: NodeId) -> None:
        buckets = self._ordered()
        super().remove(node)
        last = buckets.pop()
        if last != node:
            buckets[buckets.index(node)] = last
        if last != node or self._buckets:
            self._buckets = tuple(buckets)

    def _ordered(self) -> list[NodeId]:
        """Returns the nodes in the order of their buckets."""
        nodes = set(self.nodes)
        kept = dict.fromkeys(node for node in self._buckets if node in nodes)
        return [*kept, *(node for node in self.nodes if node not in kept)]

    def rebuild(self) -> None:
        ordered = self._ordered()
        places = {node: index for index, node in enumerate(self.nodes)}
        self._index_list = [places[node] for node in ordered]
        self._indices = np.array(self._index_list, dtype=np.int32)

    def first(self, hash: int) -> int:
        count = len(self._index_list)
        bucket, following = -1, 0
        while following < count:
            bucket = following
            hash = hash * _MULTIPLIER + 1 & _MASK
            following = int((bucket + 1) * (float(1 << 31) / float((hash >> 33) + 1)))
        return self._index_list[bucket]

    def first_many(self, hashes: Hashes) -> Indices:
        buckets = np.empty(len(hashes), dtype=np.int32)
        for start in range(0, len(hashes), _CHUNK):
            self._jump(hashes[start : start + _CHUNK].copy(), buckets[start : start + _CHUNK])
        return self._indices[buckets]

    def _jump(self, state: Hashes, buckets: Indices) -> None:
        """Finds the buckets of a few hashes, whose array it uses up."""
        count = float(len(self._index_list))
        places, bucket = np.arange(len(state)), np.zeros(len(state))
        while len(places):
            buckets[places] = bucket
            state *= np.uint64(_MULTIPLIER)
            state += np.uint64(1)
            following = float(1 << 31) / ((state >> np.uint64(33)) + 1.0)
            following *= bucket + 1
            goes_on = following < count
            state, places, bucket = state[goes_on], places[goes_on], np.floor(following[goes_on])


@hookimpl
def register_placements() -> list[PlacementSpec]:
    return [
        PlacementSpec(
            name="jump", placement=Jump,
            summary="Jump consistent hash: no memory, for nodes that come and go last (Lamping and Veach, 2014).",
        )
    ]  # fmt: skip
