"""How much a check may cost: steps and memory, which are the same on every machine, and time where it is asked for."""

from __future__ import annotations

import time
from enum import Enum

import msgspec

MIB = 1 << 20


class Spent(Enum):
    """What a search had too little of."""

    STEPS = "steps"
    MEMORY = "memory"
    TIME = "time"


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What one check may cost.

    `steps` and `memory_mib` bound the search for an order, `evidence_steps` the search for few operations that show why
    there is none. `seconds` bounds each of the two by the clock; None: not at all, so that the result is the same in
    every run.
    """

    steps: int = 20_000_000
    memory_mib: int = 512
    evidence_steps: int = 1_000_000
    seconds: float | None = None

    @property
    def memory_bytes(self) -> int:
        return self.memory_mib * MIB

    def deadline(self) -> Deadline | None:
        """The end of `seconds` that begin now."""
        return None if self.seconds is None else Deadline(self.seconds)


DEFAULT = Bounds()


class Deadline:
    """A moment on the clock, looked at now and then."""

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
