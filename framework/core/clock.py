"""A node's clocks as functions of true time: they drift, and the wall clock stands off and steps."""

from __future__ import annotations

from collections.abc import Sequence

_PPM = 1_000_000


class Clock:
    """`local` never steps, whatever happens to the drift; `wall` may, by `step`.

    All times are nanoseconds; true time is the engine's.
    """

    __slots__ = ("_local", "_natural", "_rate", "_true", "wall_offset")

    def __init__(self, drift_ppm: int = 0, wall_offset: int = 0) -> None:
        self._natural = self._rate = _PPM + drift_ppm
        self._true = self._local = 0  # where the present drift began
        self.wall_offset = wall_offset

    def plain(self) -> tuple[int, int, int, int]:
        """All of it, as `of` takes it."""
        return self._rate, self._local, self._true, self.wall_offset

    @classmethod
    def of(cls, plain: Sequence[int]) -> Clock:
        """The clock that `plain` told of."""
        clock = cls()
        clock._rate, clock._local, clock._true, clock.wall_offset = plain
        return clock

    def local(self, true: int) -> int:
        """What the monotonic clock shows."""
        return self._local + (true - self._true) * self._rate // _PPM

    def true(self, local: int) -> int:
        """The earliest true time, not before the last change of drift, at which the monotonic clock shows `local` or more."""
        return self._true + max(0, -(-(local - self._local) * _PPM // self._rate))

    def set(self, true: int, drift_ppm: int, step: int = 0) -> None:
        """From the true time `true` on the clocks drift by `drift_ppm` more than by nature; the wall clock steps by `step`."""
        self._local, self._true = self.local(true), true
        self._rate = self._natural + drift_ppm
        self.wall_offset += step
