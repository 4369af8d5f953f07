"""Looks through SQLite's write-ahead log for damage that SQLite would take for the log's end.

A log ends, to SQLite, at the first frame whose checksum does not fit, and what follows is forgotten without a word.
That is right for a last commit that was cut off by a crash: nobody was told that it is safe, and nothing follows it.
But each commit is synced before the next one is written: a frame that does not fit, with a commit behind it that a
later sync confirmed, was damaged afterwards. (Format: sqlite.org/fileformat2.html, section 4.)
"""

from __future__ import annotations

import struct
import sys
from array import array
from pathlib import Path

_HEADER, _FRAME = 32, 24
_MAGIC = {0x377F0682: "little", 0x377F0683: "big"}
_MASK = 0xFFFFFFFF


def damage(path: Path) -> str:
    """What is wrong with a write-ahead log; "" if nothing is, or there is none."""
    data = path.read_bytes() if path.exists() else b""
    if len(data) < _HEADER:
        return ""
    magic, _, page_size, _, *salts = struct.unpack_from(">6I", data)
    order = _MAGIC.get(magic)
    stored = struct.unpack_from(">2I", data, 24)
    if order is None or (sums := _checksum(data[:24], order, (0, 0))) != stored:
        return "its head is damaged"
    size = _FRAME + page_size
    at, end = _HEADER, len(data) - len(data[_HEADER:]) % size
    while at < end:
        sums = _checksum(data[at : at + 8], order, sums)
        sums = _checksum(data[at + _FRAME : at + size], order, sums)
        if (*salts, *sums) != struct.unpack_from(">4I", data, at + 8):
            break
        at += size
    behind = sum(_commits(data, start, salts) for start in range(at + size, end, size))
    own = at < end and _commits(data, at, salts)
    return f"frame {(at - _HEADER) // size} does not fit, and commits follow it" if behind > (0 if own else 1) else ""


def _commits(data: bytes, at: int, salts: list[int]) -> bool:
    """Whether the frame at `at` belongs to this log and ends a commit."""
    _, pages, *own = struct.unpack_from(">4I", data, at)
    return own == salts and pages > 0


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    words = array("I", data)
    if order != sys.byteorder:
        words.byteswap()
    first, second = sums
    for position in range(0, len(words), 2):
        first = (first + words[position] + second) & _MASK
        second = (second + words[position + 1] + first) & _MASK
    return first, second
