"""Partitioners: hash, range and table, by hand and from configs."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from framework import HashPartitioner, Partitioner, RangePartitioner, TablePartitioner

KEYS = [f"k{number}" for number in range(2000)]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"kind": "hash", "shards": 64}, HashPartitioner(shards=64)),
        ({"kind": "range", "splits": ["g", "n"]}, RangePartitioner(splits=("g", "n"))),
        ({"kind": "table", "shards": {"a": 1}}, TablePartitioner(shards={"a": 1})),
    ],
)
def test_a_config_names_the_kind(config: dict[str, Any], expected: Partitioner) -> None:
    assert msgspec.convert(config, Partitioner) == expected


@pytest.mark.parametrize(
    "partitioner",
    [
        HashPartitioner(shards=7, seed=3), RangePartitioner(splits=("k2", "k5", "k7")),
        TablePartitioner(shards={"k1": 4, "k2": 2}, otherwise=1),
    ],
)  # fmt: skip
def test_one_key_as_many(partitioner: Partitioner) -> None:
    many = partitioner.shards_of(KEYS)
    assert many.dtype == np.int32 and many.tolist() == [partitioner.shard_of(key) for key in KEYS]
    assert many.min() >= 0 and many.max() < partitioner.count


def test_a_hash_spreads_keys_evenly() -> None:
    counts = np.bincount(HashPartitioner(shards=8).shards_of(KEYS), minlength=8)
    assert abs(counts - 250).max() < 4.5 * 250**0.5


def test_ranges_begin_at_their_split() -> None:
    ranges = RangePartitioner(splits=("g", "n"))
    assert [ranges.shard_of(key) for key in ("", "a", "fz", "g", "m", "n", "z")] == [0, 0, 0, 1, 1, 2, 2]
    assert ranges.count == 3 and RangePartitioner(splits=()).count == 1


def test_splits_that_do_not_rise() -> None:
    with pytest.raises(ValueError, match="`splits` must rise, and 'a' stands after 'b'"):
        RangePartitioner(splits=("b", "a"))


def test_a_table_lists_some_keys() -> None:
    table = TablePartitioner(shards={"alice": 0, "bob": 3}, otherwise=1)
    assert [table.shard_of(key) for key in ("alice", "bob", "carol")] == [0, 3, 1]
    assert table.count == 4 and TablePartitioner(shards={}).count == 1


@pytest.mark.parametrize(
    "settings",
    [{"kind": "hash", "shards": 2**31}, {"kind": "table", "shards": {"a": 2**31}}, {"kind": "table", "shards": {}, "otherwise": 2**24}],
)  # fmt: skip
def test_more_shards_than_indices_can_number_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected `int`"):
        msgspec.convert(settings, Partitioner)
