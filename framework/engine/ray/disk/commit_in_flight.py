"""Which commit is in flight: two numbers in a file of their own, which outlive a process that is killed.

SIGKILL alone never loses what was written, synced or not. So that a crash by a fault can lose the commit in flight, and
that one alone, the worker writes down what it has begun and what it has acknowledged before it tells anyone.

Each number stands beside a check, and only one of them is written at a time: a kill in the middle of it leaves a number
that does not fit its check, and the other one says what it was.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from framework.core.errors import SynodError

_NUMBER = struct.Struct("<QQ")  # and its check
_BEGUN, _ACKNOWLEDGED, _SIZE = 0, _NUMBER.size, 2 * _NUMBER.size
_MASK = 0x5A5A_5A5A_5A5A_5A5A


class CommitInFlightError(SynodError):
    """The file is gone, or does not hold two numbers that belong together."""


class CommitInFlight:
    """The two numbers of one database, as the worker that writes it keeps them."""

    def __init__(self, database: Path, number: int) -> None:
        write_flight(database, number)
        with flight_file(database).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE)
        self._number = number

    def begin(self) -> None:
        """The next commit is about to be made."""
        _NUMBER.pack_into(self._map, _BEGUN, *_checked(self._number + 1))

    def land(self) -> None:
        """It is durable; nobody has been told of it yet."""
        self._number += 1
        _NUMBER.pack_into(self._map, _ACKNOWLEDGED, *_checked(self._number))


def write_flight(database: Path, number: int) -> None:
    """From now on `number` is the last commit, and none is in flight."""
    path = flight_file(database)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(_NUMBER.pack(*_checked(number)) * 2)
    os.replace(fresh, path)  # whoever reads it, and whenever: the old numbers or the new ones


def read_flight(database: Path) -> tuple[int, int]:
    """The last commit that was begun and the last that was acknowledged: the same, or the next one. Raises
    CommitInFlightError."""
    path = flight_file(database)
    if not path.exists():
        raise CommitInFlightError(f"{path} is gone: nobody knows what was acknowledged")
    numbers = path.read_bytes()
    if len(numbers) != _SIZE:
        raise CommitInFlightError(f"{path}: {len(numbers)} bytes instead of {_SIZE}")
    begun, acknowledged = _read(numbers, _BEGUN), _read(numbers, _ACKNOWLEDGED)
    if begun is None:  # it was killed as it began one
        begun = acknowledged
    elif acknowledged is None:  # … as it acknowledged the one in flight
        acknowledged = begun - 1
    if begun is None or acknowledged is None or begun - acknowledged not in (0, 1):
        raise CommitInFlightError(
            f"{path}: commit {begun} begun, commit {acknowledged} acknowledged: these are not two of one flight"
        )
    return begun, acknowledged


def flight_file(database: Path) -> Path:
    return database.with_suffix(".flight")


def _checked(number: int) -> tuple[int, int]:
    return number, number ^ _MASK


def _read(numbers: bytes, at: int) -> int | None:
    """None if it was half written."""
    number, check = _NUMBER.unpack_from(numbers, at)
    return int(number) if check == number ^ _MASK else None
