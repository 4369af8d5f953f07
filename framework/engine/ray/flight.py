"""Which commit is in flight: two numbers in a file of their own, which outlive a process that is killed.

SIGKILL alone never loses what was written, synced or not. So that a crash by a fault can lose the commit in flight, and
that one alone, the station writes down what it has begun and what it has acknowledged before it tells anyone.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from framework.core.errors import SynodError

_FORM = struct.Struct("<QQ")  # the last commit begun, the last one acknowledged


class FlightError(SynodError):
    """The file does not hold two numbers."""


class Flight:
    """The two numbers of one database, as the station that writes it keeps them."""

    def __init__(self, database: Path, number: int) -> None:
        path = flight_file(database)
        fresh = path.with_name(f"{path.name}.new")
        fresh.write_bytes(_FORM.pack(number, number))
        os.replace(fresh, path)  # whoever reads it, and whenever: the old numbers or the new ones
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _FORM.size)
        self._number = number

    def begin(self) -> None:
        """The next commit is about to be made."""
        _FORM.pack_into(self._map, 0, self._number + 1, self._number)

    def land(self) -> None:
        """It is durable; nobody has been told of it yet."""
        self._number += 1
        _FORM.pack_into(self._map, 0, self._number, self._number)


def read_flight(database: Path) -> tuple[int, int]:
    """The last commit that was begun and the last that was acknowledged; zeros if there was none. Raises FlightError."""
    path = flight_file(database)
    if not path.exists():
        return 0, 0
    numbers = path.read_bytes()
    if len(numbers) != _FORM.size:
        raise FlightError(f"{path}: {len(numbers)} bytes instead of {_FORM.size}")
    begun, acknowledged = _FORM.unpack(numbers)
    return begun, acknowledged


def flight_file(database: Path) -> Path:
    return database.with_suffix(".flight")
