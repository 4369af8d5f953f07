"""Multi-probe consistent hashing (Appleton and O'Reilly, 2015)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from framework import (
    Hashes,
    Indices,
    Placement,
    PlacementConfig,
    PlacementSpec,
    hookimpl,
    rehashed,
    rehashed_many,
)

_MASK = (1 << 64) - 1

_CHUNK = 1 << 14
"""Hashes that are probed together, so that they stay in the cache."""


class MultiProbeConfig(PlacementConfig):
    """The number of probes."""

    probes: Annotated[int, Meta(ge=2)] = 21
    """Places on the ring that are tried for each id: the fullest node has k/(k-1) of the average, 1.05 with 21."""


class MultiProbe(Placement):
    """Each node has one point on a ring. An id is hashed several times, and the probe that is nearest to the next point
    decides; further replicas go to the owners of the points that follow. Memory is one point a node; a look-up is as
    many searches as probes."""

    moves_minimally_on = ("add", "add_last", "remove", "remove_last")

    def rebuild(self) -> None:
        points = self.hash_many(self.nodes)
        order = np.lexsort((np.arange(len(points)), points))
        self._points, self._owners = points[order], order.astype(np.int32)
        self._point_list: list[int] = self._points.tolist()
        self._owner_list: list[int] = self._owners.tolist()

    def first(self, hash: int) -> int:
        return self._owner_list[self._nearest(hash)]

    def candidates(self, hash: int) -> Iterator[int]:
        index = self._nearest(hash)
        while True:
            yield from self._owner_list[index:]
            index = 0

    def column(self, hashes: Hashes, position: int) -> Indices:
        found = np.empty(len(hashes), dtype=np.int32)
        for start in range(0, len(hashes), _CHUNK):
            nearest = self._nearest_many(hashes[start : start + _CHUNK])
            found[start : start + _CHUNK] = self._owners[(nearest + position) % len(self._owners)]
        return found

    def _nearest_many(self, hashes: Hashes) -> npt.NDArray[np.int64]:
        """Returns the points that are nearest to a probe, by their places on the ring."""
        nearest = np.zeros(len(hashes), dtype=np.int64)
        least = np.full(len(hashes), _MASK, dtype=np.uint64)
        for attempt in range(self.config.probes):
            probes = rehashed_many(hashes, attempt)
            index = np.searchsorted(self._points, probes) % len(self._points)
            distance = self._points[index] - probes  # modulo 2**64
            closer = distance < least
            np.copyto(nearest, index, where=closer)
            np.minimum(least, distance, out=least)
        return nearest

    def _nearest(self, hash: int) -> int:
        """Returns the point that is nearest to a probe, by its place on the ring."""
        nearest, least = 0, _MASK
        for attempt in range(self.config.probes):
            probe = rehashed(hash, attempt)
            index = bisect_left(self._point_list, probe) % len(self._point_list)
            distance = self._point_list[index] - probe & _MASK
            if distance < least:
                nearest, least = index, distance
        return nearest


@hookimpl
def register_placements() -> list[PlacementSpec]:
    return [
        PlacementSpec(
            name="multi_probe", placement=MultiProbe, config=MultiProbeConfig,
            summary="A ring with one point a node and several hashes of an id (Appleton and O'Reilly, 2015).",
        )
    ]  # fmt: skip
