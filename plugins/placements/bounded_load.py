"""Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, SODA 2018)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated

import numpy as np
from msgspec import Meta

from framework import (
    Hashes,
    Id,
    Indices,
    Member,
    NodeId,
    Placement,
    PlacementChoice,
    PlacementConfig,
    PlacementSpec,
    hookimpl,
)


class BoundedLoadConfig(PlacementConfig):
    """The placement whose loads are bounded, and the bound."""

    over: PlacementChoice = PlacementChoice("ring")
    """The placement that says which nodes an id prefers."""
    balance: Annotated[float, Meta(ge=1)] = 1.25
    """c: no node has more than ⌈c·m·w/Σw⌉ of m ids, w being its weight. The nearer to 1, the more ids move when nodes
    or ids come and go."""


class BoundedLoad(Placement):
    """Places a known set of ids, in the order of their hashes: each at the first node of its preference that is not
    full.

    The ids are those last given to `place`; all others are refused. A change of the nodes or the ids moves some of
    them.
    """

    weights = True
    max_count = 1
    places_known_ids = True

    def __init__(self, config: BoundedLoadConfig, nodes: Iterable[NodeId] = ()) -> None:
        if config.over.placement.places_known_ids:
            raise ValueError(f"over={config.over.name}: it places a known set of ids itself, so choose another one")
        self._known = np.zeros(0, dtype=np.uint64)
        super().__init__(config, nodes)

    def place(self, ids: Iterable[Id]) -> None:
        self._known = np.unique(self.hash_many(ids))
        self._stale = True

    def rebuild(self) -> None:
        over = self.config.over.make_weighted({member.node: member.weight for member in self.members})
        room = capacities(self.members, len(self._known), self.config.balance)
        hashes: list[int] = self._known.tolist()
        owners: list[int] = []
        for preferred, hash in zip(over.locate_many(self._known)[:, 0].tolist(), hashes, strict=True):
            owner = preferred if room[preferred] else next(index for index in over.preferences(hash) if room[index])
            room[owner] -= 1
            owners.append(owner)
        self._owners = np.array(owners, dtype=np.int32)
        self._owner_of = dict(zip(hashes, owners, strict=True))

    def first(self, hash: int) -> int:
        try:
            return self._owner_of[hash]
        except KeyError:
            raise ValueError(_UNKNOWN) from None

    def candidates(self, hash: int) -> Iterator[int]:
        while True:
            yield self.first(hash)

    def column(self, hashes: Hashes, position: int) -> Indices:
        places = np.searchsorted(self._known, hashes)
        if (len(hashes) and (places == len(self._known)).any()) or (self._known[places] != hashes).any():
            raise ValueError(_UNKNOWN)
        return self._owners[places]


_UNKNOWN = "bounded_load places a known set of ids, and this one is not among them: give all of them to place()"


def capacities(members: Iterable[Member], ids: int, balance: float) -> list[int]:
    """Returns how many of `ids` ids each node takes at most: ⌈c·m·w/Σw⌉."""
    weights = [member.weight for member in members]
    total = math.fsum(weights)
    return [math.ceil(balance * ids * weight / total) for weight in weights]


@hookimpl
def register_placements() -> list[PlacementSpec]:
    return [
        PlacementSpec(
            name="bounded_load", placement=BoundedLoad, config=BoundedLoadConfig,
            summary="Another placement with a bound on what a node holds (Mirrokni and others, 2018).",
        )
    ]  # fmt: skip
