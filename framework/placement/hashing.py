"""Hashes of ids: 64 bits from xxhash, and cheap functions that turn one hash into another, alike for one id and for
many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import xxhash

Id: TypeAlias = str | bytes | int
"""What is placed: a key, or the number of a shard."""

Hashes: TypeAlias = npt.NDArray[np.uint64]
"""Hashes of many ids: an array of uint64."""
Indices: TypeAlias = npt.NDArray[np.int32]
"""Indices into `Placement.nodes`: an array of int32."""

Unsigned = TypeVar("Unsigned", np.uint32, np.uint64)

HashName: TypeAlias = Literal["xxh3_64", "xxh64"]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio (Knuth, volume 3, section 6.4)

_FUNCTIONS: dict[str, Callable[[bytes, int], int]] = {
    "xxh3_64": xxhash.xxh3_64_intdigest,
    "xxh64": xxhash.xxh64_intdigest,
}


def hash_function(name: HashName) -> Callable[[bytes, int], int]:
    """Returns the function of bytes and a seed that yields a hash of 64 bits."""
    return _FUNCTIONS[name]


def as_hashed(id: Id) -> bytes:
    """Returns what is hashed of an id: text in UTF-8, and a number as eight bytes, little-endian."""
    if isinstance(id, str):
        return id.encode()
    return (id & _MASK).to_bytes(8, "little") if isinstance(id, int) else id


def hash_many(ids: Iterable[Id], name: HashName, seed: int) -> Hashes:
    """Returns the hashes of many ids."""
    function = hash_function(name)
    return np.fromiter((function(as_hashed(each), seed) for each in ids), dtype=np.uint64)


_MIXERS = {
    64: (30, 0xBF58476D1CE4E5B9, 27, 0x94D049BB133111EB, 31),  # SplitMix64 (Steele, Lea and Flood, 2014)
    32: (16, 0x7FEB352D, 15, 0x846CA68B, 16),  # found by search (Wellons, hash-prospector, 2018)
}
"""Shift, factor, shift, factor, shift of a mixer, by its bits."""


def mixed(value: int, bits: Literal[32, 64] = 64) -> int:
    """Returns another number of so many bits, each bit of which depends on all of `value`. Different values have
    different results."""
    first, factor, second, other_factor, third = _MIXERS[bits]
    mask = (1 << bits) - 1
    value = (value ^ value >> first) * factor & mask
    value = (value ^ value >> second) * other_factor & mask
    return value ^ value >> third


def mixed_many(values: npt.NDArray[Unsigned], scratch: npt.NDArray[Unsigned] | None = None) -> npt.NDArray[Unsigned]:
    """Returns `mixed` of each value, in place: of 64 bits if the array is of uint64, of 32 bits if it is of uint32.

    `scratch` is an array like `values`, which is overwritten; None: a new one.
    """
    kind = values.dtype.type
    first, factor, second, other_factor, third = _MIXERS[values.dtype.itemsize * 8]
    scratch = np.right_shift(values, kind(first), out=scratch)
    values ^= scratch
    values *= kind(factor)
    np.right_shift(values, kind(second), out=scratch)
    values ^= scratch
    values *= kind(other_factor)
    np.right_shift(values, kind(third), out=scratch)
    values ^= scratch
    return values


def rehashed(value: int, attempt: int) -> int:
    """Returns the hash of an id's `attempt`: the hash itself at 0, and independent ones after that."""
    return value if attempt == 0 else mixed(value + attempt * _GOLDEN & _MASK)


def rehashed_many(values: Hashes, attempt: int) -> Hashes:
    """Returns `rehashed` of each value."""
    return values if attempt == 0 else mixed_many(values + np.uint64(attempt * _GOLDEN & _MASK))
