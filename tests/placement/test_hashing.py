"""Hashes: one at a time as many at once, xxhash's own values, and mixing that leaves no pattern."""

from __future__ import annotations

import numpy as np
import pytest
import xxhash

from framework import mixed, mixed_many, rehashed, rehashed_many
from framework.placement.hashing import HashName, as_hashed, hash_function, hash_many


@pytest.mark.parametrize("name", ["xxh3_64", "xxh64"])
def test_hashes_are_those_of_xxhash(name: HashName) -> None:
    assert hash_function(name)(b"key", 5) == getattr(xxhash, f"{name}_intdigest")(b"key", 5)
    ids = ["a", "ä", b"\x00\xff", 7, -1, 2**63]
    assert hash_many(ids, name, 5).tolist() == [hash_function(name)(as_hashed(id), 5) for id in ids]


def test_what_is_hashed_of_an_id() -> None:
    assert [as_hashed(id) for id in ("ä", b"x", 1, -1)] == [b"\xc3\xa4", b"x", b"\1" + bytes(7), b"\xff" * 8]


def test_no_ids() -> None:
    assert hash_many([], "xxh3_64", 0).shape == (0,)


def test_one_is_mixed_as_many_are() -> None:
    values = np.random.default_rng(1).integers(0, 2**64, 1000, dtype=np.uint64)
    expected = [mixed(value) for value in values.tolist()]
    assert mixed_many(values.copy()).tolist() == expected
    short = values.astype(np.uint32)
    expected = [mixed(value, 32) for value in short.tolist()]
    assert mixed_many(short.copy(), np.empty_like(short)).tolist() == expected
    for attempt in (0, 1, 7, 1000):
        expected = [rehashed(value, attempt) for value in values.tolist()]
        assert rehashed_many(values, attempt).tolist() == expected


def test_rehashing_leaves_its_argument_alone() -> None:
    values = np.arange(10, dtype=np.uint64)
    rehashed_many(values, 3)
    assert values.tolist() == list(range(10))


def test_mixers_as_published() -> None:
    """The first two outputs of SplitMix64 from seed 0, and lowbias32 of 1 and 2, compiled from C."""
    golden = 0x9E3779B97F4A7C15
    assert [mixed(golden * turn % 2**64) for turn in (1, 2)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    assert [mixed(value, 32) for value in (1, 2)] == [0x688990C0, 0xD1132181]


def test_each_bit_of_a_number_changes_half_the_bits_of_its_mixture() -> None:
    """Over 200 numbers, a bit flips in 100 ± 4.5 standard deviations of 7.1."""
    values = np.random.default_rng(2).integers(0, 2**64, 200, dtype=np.uint64)
    plain = mixed_many(values.copy())
    for bit in range(64):
        changed = mixed_many(values ^ np.uint64(1 << bit)) ^ plain
        flips = [int((changed >> np.uint64(each) & np.uint64(1)).sum()) for each in range(64)]
        assert all(68 <= count <= 132 for count in flips), (bit, flips)
