"""Clocks drift and are set; the monotonic one never steps back or leaps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from framework.core.clock import Clock

SECOND = 1_000_000_000


def test_a_clock_by_itself_drifts_as_it_does_by_nature() -> None:
    clock = Clock(drift_ppm=100, wall_offset=7)
    assert clock.local(SECOND) == SECOND + 100_000 and clock.wall_offset == 7


def test_what_is_set_comes_on_top_of_nature_and_goes_again() -> None:
    clock = Clock(drift_ppm=100)
    clock.set(SECOND, 500_000, step=5)
    assert clock.local(2 * SECOND) - clock.local(SECOND) == SECOND * 15_001 // 10_000
    clock.set(2 * SECOND, 0, step=-5)
    assert clock.local(3 * SECOND) - clock.local(2 * SECOND) == SECOND + 100_000
    assert clock.wall_offset == 0


drifts = st.lists(st.tuples(st.integers(0, SECOND), st.integers(-900_000, 900_000)), max_size=8)


@given(drifts, st.integers(0, SECOND))
def test_it_never_steps_and_says_when_it_will_show_a_time(changes: list[tuple[int, int]], ahead: int) -> None:
    clock, now = Clock(), 0
    for gap, drift in changes:
        now += gap
        before = clock.local(now)
        clock.set(now, drift)
        assert clock.local(now) == before
    at = clock.local(now) + ahead
    assert clock.local(clock.true(at)) >= at
    assert ahead == 0 or clock.local(clock.true(at) - 1) < at
