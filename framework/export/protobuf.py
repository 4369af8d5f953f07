"""Encodes protobuf fields: https://protobuf.dev/programming-guides/encoding/."""

from __future__ import annotations

import struct

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
