"""Limits of a check: steps and memory, which are the same on every machine, and time if requested."""

from __future__ import annotations

import time
from enum import Enum

import msgspec

MIB = 1 << 20


class Spent(Enum):
    """The resource that a search ran out of."""

    STEPS = "steps"
    MEMORY = "memory"
    TIME = "time"


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one check.

    `steps` and `memory_mib` limit the search for an order, `evidence_steps` the search for few operations that show why
    there is none. `seconds` limits the time of each of the two; None: no limit, so that the result is the same in every
    run.
    """

    steps: int = 20_000_000
    memory_mib: int = 512
    evidence_steps: int = 1_000_000
    seconds: float | None = None

    @property
    def memory_bytes(self) -> int:
        return self.memory_mib * MIB

    def deadline(self) -> Deadline | None:
        """Returns the deadline `seconds` from now; None if there is none."""
        return None if self.seconds is None else Deadline(self.seconds)


DEFAULT = Bounds()


class Deadline:
    """A time limit. The clock is read only at every `EVERY`th call of `has_passed`."""

    EVERY = 256

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds
        self._calls = 0
        self._passed = False

    def has_passed(self) -> bool:
        if self._calls % self.EVERY == 0:
            self._passed = time.monotonic() >= self._at
        self._calls += 1
        return self._passed
