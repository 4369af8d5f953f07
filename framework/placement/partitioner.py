"""Partitioners: functions from keys to shards, numbered from 0. A placement puts shards onto nodes.

In a config: `{kind: hash, shards: 64}`, `{kind: range, splits: [g, n, t]}`, `{kind: table, shards: {alice: 0, bob: 1},
otherwise: 2}`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, TypeAlias

import numpy as np
from msgspec import Meta

from framework.core.message import Config
from framework.placement.hashing import HashName, Indices, as_hashed, hash_function, hash_many

MOST_SHARDS = 1 << 24
"""The largest number of shards."""


class HashPartitioner(Config, kw_only=True, tag_field="kind", tag="hash"):
    """Spreads keys evenly over a fixed number of shards: the hash modulo that number."""

    shards: Annotated[int, Meta(ge=1, le=MOST_SHARDS)]
    hash: HashName = "xxh3_64"
    seed: int = 0

    @property
    def count(self) -> int:
        """The number of shards."""
        return self.shards

    def shard_of(self, key: str) -> int:
        """Returns the shard of a key."""
        return hash_function(self.hash)(as_hashed(key), self.seed) % self.shards

    def shards_of(self, keys: Iterable[str]) -> Indices:
        """Returns the shards of many keys (int32, shape [n])."""
        return (hash_many(keys, self.hash, self.seed) % np.uint64(self.shards)).astype(np.int32)


class RangePartitioner(Config, kw_only=True, tag_field="kind", tag="range"):
    """Keeps neighbouring keys together: shard i has the keys from split i-1 on, up to split i, which is not its own."""

    splits: tuple[str, ...]

    def __post_init__(self) -> None:
        for before, after in pairwise(self.splits):
            if not before < after:
                raise ValueError(f"`splits` must rise, and {after!r} stands after {before!r}")

    @property
    def count(self) -> int:
        """The number of shards."""
        return len(self.splits) + 1

    def shard_of(self, key: str) -> int:
        """Returns the shard of a key."""
        return bisect_right(self.splits, key)

    def shards_of(self, keys: Iterable[str]) -> Indices:
        """Returns the shards of many keys (int32, shape [n])."""
        return np.fromiter((bisect_right(self.splits, key) for key in keys), dtype=np.int32)


class TablePartitioner(Config, kw_only=True, tag_field="kind", tag="table"):
    """A directory that lists the shard of each key; keys that it does not list are in the shard `otherwise`."""

    shards: dict[str, Annotated[int, Meta(ge=0, lt=MOST_SHARDS)]]
    otherwise: Annotated[int, Meta(ge=0, lt=MOST_SHARDS)] = 0

    @property
    def count(self) -> int:
        """The number of shards."""
        return max([self.otherwise, *self.shards.values()]) + 1

    def shard_of(self, key: str) -> int:
        """Returns the shard of a key."""
        return self.shards.get(key, self.otherwise)

    def shards_of(self, keys: Iterable[str]) -> Indices:
        """Returns the shards of many keys (int32, shape [n])."""
        return np.fromiter((self.shards.get(key, self.otherwise) for key in keys), dtype=np.int32)


Partitioner: TypeAlias = HashPartitioner | RangePartitioner | TablePartitioner
"""The type of a partitioner in a config."""
