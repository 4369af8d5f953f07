"""The places from which the search found no order, as many as fit into its memory."""

from __future__ import annotations

from typing import TypeAlias

from framework.checking.models.model import State

Place: TypeAlias = tuple[int, State, tuple[int, ...], State]
"""The next completion, the state, pending operations with effect, and the state before the last one."""
Remainder: TypeAlias = tuple[tuple[int, ...], int]
"""Pending operations without effect, and operations with unknown outcome."""
MOST = 32
"""The maximum number of remainders kept per place; the latest are kept."""


class Failures:
    """Two generations of failed places. When the younger fills half of `limit_bytes`, the older is dropped; a dropped
    place may be searched again, and fails again."""

    def __init__(self, limit_bytes: int) -> None:
        self.looked = 0
        """The number of remainders inspected since this was last set to 0."""
        self._limit = limit_bytes // 2
        self._young: dict[Place, list[Remainder]] = {}
        self._old: dict[Place, list[Remainder]] = {}
        self._young_bytes = self._old_bytes = 0

    def allow(self, limit_bytes: int) -> None:
        """Sets the limit to `limit_bytes`."""
        self._limit = limit_bytes // 2

    @property
    def bytes(self) -> int:
        """An estimate of the memory in use."""
        return self._young_bytes + self._old_bytes

    def covers(self, place: Place, pures: tuple[int, ...], opens: int) -> bool:
        """Returns whether a place at least as good failed: with no more unmet reads, and at least all `opens`."""
        for generation in (self._young, self._old):
            remainders = generation.get(place)
            if remainders is not None:
                self.looked += len(remainders)
                for their_pures, their_opens in remainders:
                    if not opens & ~their_opens and (their_pures == pures or set(their_pures).issubset(pures)):
                        return True
        return False

    def add(self, place: Place, pures: tuple[int, ...], opens: int, size_bytes: int) -> None:
        """Adds a place of about `size_bytes`."""
        if self._young_bytes + size_bytes > self._limit:
            self._old, self._old_bytes = self._young, self._young_bytes
            self._young, self._young_bytes = {}, 0
        remainders = self._young.setdefault(place, [])
        remainders.append((pures, opens))
        self._young_bytes += size_bytes
        if len(remainders) > MOST:
            del remainders[0]
            self._young_bytes -= size_bytes

    def clear(self) -> None:
        self._young.clear()
        self._old.clear()
        self._young_bytes = self._old_bytes = 0
