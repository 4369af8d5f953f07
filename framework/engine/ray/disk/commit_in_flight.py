"""The number of the commit in flight: two numbers in a file of their own, which outlive a killed process.

SIGKILL alone never loses written data, synced or not. A crash by a fault should be able to lose the commit in flight,
and no other. For this the worker records the commits that it has begun and acknowledged before it informs anyone.

Each number is stored with a check value, and only one number is written at a time. A kill in the middle of a write
leaves a number that does not match its check; the other number then determines it.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from framework.core.errors import SynodError

_NUMBER = struct.Struct("<QQ")  # a number and its check value
_BEGUN, _ACKNOWLEDGED, _SIZE = 0, _NUMBER.size, 2 * _NUMBER.size
_MASK = 0x5A5A_5A5A_5A5A_5A5A


class CommitInFlightError(SynodError):
    """The file is missing, or its two numbers are not consistent."""


class CommitInFlight:
    """The two numbers of one database, kept by the worker that writes it."""

    def __init__(self, database: Path, number: int) -> None:
        write_flight(database, number)
        with flight_file(database).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE)
        self._number = number

    def begin(self) -> None:
        """Records that the next commit is about to be made."""
        _NUMBER.pack_into(self._map, _BEGUN, *_checked(self._number + 1))

    def land(self) -> None:
        """Records that the commit is durable; called before it is acknowledged to anyone."""
        self._number += 1
        _NUMBER.pack_into(self._map, _ACKNOWLEDGED, *_checked(self._number))


def write_flight(database: Path, number: int) -> None:
    """Records `number` as the last commit, with none in flight."""
    path = flight_file(database)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(_NUMBER.pack(*_checked(number)) * 2)
    os.replace(fresh, path)  # atomic: a reader sees the old numbers or the new ones


def read_flight(database: Path) -> tuple[int, int]:
    """Returns the last commit begun and the last acknowledged: equal, or one apart. Raises CommitInFlightError."""
    path = flight_file(database)
    if not path.exists():
        raise CommitInFlightError(f"{path} is gone: the acknowledged commits are unknown")
    numbers = path.read_bytes()
    if len(numbers) != _SIZE:
        raise CommitInFlightError(f"{path}: {len(numbers)} bytes instead of {_SIZE}")
    begun, acknowledged = _read(numbers, _BEGUN), _read(numbers, _ACKNOWLEDGED)
    if begun is None:  # killed while it began one
        begun = acknowledged
    elif acknowledged is None:  # killed while it acknowledged the one in flight
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
    """Returns the number at offset `at`; None if it was half written."""
    number, check = _NUMBER.unpack_from(numbers, at)
    return int(number) if check == number ^ _MASK else None
