"""Encodes protobuf fields: https://protobuf.dev/programming-guides/encoding/."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

_VARINT, _FIXED64, _BYTES = 0, 1, 2
_SMALL = [bytes([number]) for number in range(128)]
_U64 = (1 << 64) - 1
_pack_fixed64 = struct.Struct("<Q").pack
_pack_double = struct.Struct("<d").pack


def varint(number: int) -> bytes:
    """Encodes an integer of 64 bits; a negative one takes ten bytes."""
    if 0 <= number < 128:
        return _SMALL[number]
    number &= _U64
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def varints(numbers: np.ndarray[Any, np.dtype[np.int64]]) -> list[bytes]:
    """Encodes many integers at once; a negative one becomes b""."""
    groups = numbers[:, None] >> np.arange(0, 63, 7, dtype=np.int64) & 127  # seven bits each, the lowest first
    lengths = np.where(numbers < 0, 0, np.maximum(9 - np.argmax(groups[:, ::-1] != 0, axis=1), 1))
    lengths[numbers == 0] = 1
    is_continued = np.arange(9) < lengths[:, None] - 1
    encoded = (groups | np.where(is_continued, 128, 0)).astype(np.uint8).tobytes()
    return [
        encoded[start : start + length]
        for start, length in zip(range(0, len(encoded), 9), lengths.tolist(), strict=True)
    ]


def integer(field: int, number: int) -> bytes:
    """A field of type int32, int64, uint32, uint64, bool or enum."""
    return varint(field << 3 | _VARINT) + varint(number)


def fixed64(field: int, number: int) -> bytes:
    """A field of type fixed64."""
    return varint(field << 3 | _FIXED64) + _pack_fixed64(number)


def double(field: int, number: float) -> bytes:
    """A field of type double."""
    return varint(field << 3 | _FIXED64) + _pack_double(number)


def message(field: int, content: bytes) -> bytes:
    """A field of a message type, or of type bytes."""
    return varint(field << 3 | _BYTES) + varint(len(content)) + content


def text(field: int, content: str) -> bytes:
    """A field of type string; a lone surrogate, which UTF-8 lacks, becomes `?`."""
    return message(field, content.encode(errors="replace"))
