"""The hash modulo the number of nodes: what everyone tries first, and what moves nearly all ids when a node comes or
goes."""

from __future__ import annotations

import numpy as np

from framework import Hashes, Indices, PlacementSpec, RehashedPlacement, hookimpl


class Modulo(RehashedPlacement):
    """The n-th node in the order of names, where n is the hash modulo the number of nodes. Of n nodes, adding one moves
    n/(n+1) of the ids."""

    def rebuild(self) -> None:
        self._count = len(self.nodes)

    def first(self, hash: int) -> int:
        return hash % self._count

    def first_many(self, hashes: Hashes) -> Indices:
        return (hashes % np.uint64(self._count)).astype(np.int32)


@hookimpl
def register_placements() -> list[PlacementSpec]:
    return [
        PlacementSpec(
            name="modulo", placement=Modulo,
            summary="The hash modulo the number of nodes: the baseline that moves nearly everything.",
        )
    ]  # fmt: skip
