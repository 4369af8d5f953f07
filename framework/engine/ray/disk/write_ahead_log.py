"""Searches SQLite's write-ahead log for damage that SQLite would take for the log's end.

To SQLite, a log ends at the first frame with a wrong checksum; later frames are silently discarded. That is right for
a last commit that was cut off by a crash: it was never acknowledged, and nothing follows it. But each commit is synced
before the next one is written. A frame with a wrong checksum that is followed by a commit confirmed by a later sync was
therefore damaged afterwards. (Format: sqlite.org/fileformat2.html, section 4.)
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from pathlib import Path
from typing import NamedTuple

_HEADER, _FRAME = 32, 24
_MAGIC = {0x377F0682: "little", 0x377F0683: "big"}
_MASK = 0xFFFFFFFF


class Log(NamedTuple):
    """The findings in a write-ahead log.

    `damage`: a description, or "". `torn`: the last commit was cut off. `frames`: number of whole frames. `frame_size`:
    bytes of a frame with its header. `last`: offset of the last frame of the last commit (0: no commit).
    """

    damage: str = ""
    torn: bool = False
    frames: int = 0
    frame_size: int = 0
    last: int = 0


def look(path: Path) -> Log:
    """Examines a write-ahead log. A missing file counts as an empty log."""
    data = path.read_bytes() if path.exists() else b""
    if len(data) < _HEADER:
        return Log()
    magic, _, page_size, _, *salts = struct.unpack_from(">6I", data)
    order = _MAGIC.get(magic)
    stored = struct.unpack_from(">2I", data, 24)
    if order is None or (sums := _checksum(data[:24], order, (0, 0))) != stored:
        return Log("its head is damaged")
    size = _FRAME + page_size
    at, end, last = _HEADER, len(data) - len(data[_HEADER:]) % size, 0
    while at < end:
        sums = _checksum(data[at : at + 8], order, sums)
        sums = _checksum(data[at + _FRAME : at + size], order, sums)
        if (*salts, *sums) != struct.unpack_from(">4I", data, at + 8):
            break
        last = at if _commits(data, at, salts) else last
        at += size
    frames = (at - _HEADER) // size
    behind = sum(_commits(data, start, salts) for start in range(at + size, end, size))
    own = at < end and _commits(data, at, salts)
    wrong = f"frame {frames} does not fit, and commits follow it" if behind > (0 if own else 1) else ""
    return Log(wrong, _begun(data, at, salts) or at > (last + size if last else _HEADER), frames, size, last)


def tear(path: Path, frames: int) -> bool:
    """Cuts a log of fewer than `frames` frames in the middle of its last commit. Returns False if that is
    impossible."""
    log = look(path)
    if log.damage or not log.last or log.frames >= frames:
        return False
    os.truncate(path, log.last + log.frame_size // 2)
    return True


def log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _begun(data: bytes, at: int, salts: list[int]) -> bool:
    """Returns whether a frame of this log begins at `at`."""
    return len(data) >= at + _FRAME and list(struct.unpack_from(">2I", data, at + 8)) == salts


def _commits(data: bytes, at: int, salts: list[int]) -> bool:
    """Returns whether the frame at `at` belongs to this log and ends a commit."""
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
