"""A node's clocks as functions of true time: both drift, and the wall clock also has an offset and steps."""

from __future__ import annotations

from collections.abc import Sequence

_PPM = 1_000_000


class Clock:
    """The monotonic and the wall clock of one node.

    `local` never steps, even when the drift changes; the wall clock may. All times are in nanoseconds; true time is
    the engine's.
    """

    __slots__ = ("_local", "_natural", "_rate", "_true", "wall_offset")

    def __init__(self, drift_ppm: int = 0, wall_offset: int = 0) -> None:
        self._natural = self._rate = _PPM + drift_ppm
        self._true = self._local = 0  # when the current drift began
        self.wall_offset = wall_offset

    def plain(self) -> tuple[int, int, int, int]:
        """Returns the clock as a tuple that `of` accepts."""
        return self._rate, self._local, self._true, self.wall_offset

    @classmethod
    def of(cls, plain: Sequence[int]) -> Clock:
        """Rebuilds the clock that `plain()` returned."""
        clock = cls()
        clock._rate, clock._local, clock._true, clock.wall_offset = plain
        return clock

    def local(self, true: int) -> int:
        """Returns the reading of the monotonic clock at the true time `true`."""
        return self._local + (true - self._true) * self._rate // _PPM

    def true(self, local: int) -> int:
        """Returns the first true time, since the last change of drift, at which `local()` is at least `local`."""
        return self._true + max(0, -(-(local - self._local) * _PPM // self._rate))

    def set(self, true: int, drift_ppm: int, step: int = 0) -> None:
        """Adds `drift_ppm` to the natural drift from the true time `true` on, and steps the wall clock by `step`."""
        self._local, self._true = self.local(true), true
        self._rate = self._natural + drift_ppm
        self.wall_offset += step
