"""Maglev hashing (Eisenbud and others, *Maglev: A Fast and Reliable Software Network Load Balancer*, NSDI 2016, section
3.4)."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from msgspec import Meta

from framework import Hashes, Indices, PlacementConfig, PlacementSpec, RehashedPlacement, hookimpl


class MaglevConfig(PlacementConfig):
    """The size of the table."""

    table_size: Annotated[int, Meta(ge=2)] = 65_537
    """Entries of the look-up table: a prime, a hundred times the number of nodes or more. The paper uses 65,537 and
    655,373."""

    def __post_init__(self) -> None:
        size = self.table_size
        if any(size % factor == 0 for factor in range(2, math.isqrt(size) + 1)):
            raise ValueError(f"table_size={size} is not a prime: give one, as 65537 or 655373")


class Maglev(RehashedPlacement):
    """A table of a prime number of entries, which nodes fill in turn, each in the order of a permutation of its own.

    A look-up reads one entry. Shares differ by one entry, or by what weights ask for (a node of half the highest weight
    takes every other turn). When a node comes or goes, a few entries change beside those that must.
    """

    weights = True

    table: Indices
    """The table (int32, shape [table_size]): indices into `nodes`. Made at the first look-up after a change."""

    def rebuild(self) -> None:
        size = self.config.table_size
        if len(self.nodes) > size:
            raise ValueError(f"table_size={size} is too small for {len(self.nodes)} nodes")
        offsets = (self.hash_many(f"{node}/offset" for node in self.nodes) % np.uint64(size)).tolist()
        skips = (self.hash_many(f"{node}/skip" for node in self.nodes) % np.uint64(size - 1) + np.uint64(1)).tolist()
        highest = max(member.weight for member in self.members)
        shares = [member.weight / highest for member in self.members]
        table = [-1] * size
        following = offsets  # the entry that each node looks at next
        filled, turn = 0, 0
        while True:
            turn += 1
            for node, share in enumerate(shares):
                if share < 1 and int(turn * share) == int((turn - 1) * share):
                    continue  # not its turn
                entry, skip = following[node], skips[node]
                while table[entry] >= 0:
                    entry = (entry + skip) % size
                table[entry] = node
                following[node] = (entry + skip) % size
                filled += 1
                if filled == size:
                    self._table_list = table
                    self.table = np.array(table, dtype=np.int32)
                    return

    def first(self, hash: int) -> int:
        return self._table_list[hash % len(self._table_list)]

    def first_many(self, hashes: Hashes) -> Indices:
        found: Indices = self.table[hashes % np.uint64(len(self.table))]
        return found


@hookimpl
def register_placements() -> list[PlacementSpec]:
    return [
        PlacementSpec(
            name="maglev", placement=Maglev, config=MaglevConfig,
            summary="A table that nodes fill in turn: even shares, one read a look-up (Eisenbud and others, 2016).",
        )
    ]  # fmt: skip
