"""Durations are written with their unit, and read back exactly."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.time import Duration, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("150ms", 150_000_000),
        ("1.5 s", 1_500_000_000),
        (" 2s ", 2_000_000_000),
        ("0.25us", 250),
        ("7ns", 7),
        ("1m", 60_000_000_000),
        ("0.5h", 1_800_000_000_000),
        ("0", 0),
        ("0s", 0),
        (0, 0),
        (0.0, 0),
        ("0.1s", 100_000_000),  # exact, where binary fractions are not
    ],
)
def test_a_number_and_its_unit(text: object, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("150", "a duration needs a unit: write 150ms or 150s, not 150"),
        (150, "a duration needs a unit: write 150ms or 150s, not 150"),
        (1.5, "a duration needs a unit: write 1.5ms or 1.5s, not 1.5"),
        ("fast", "'fast' is not a duration: write a number and one of ns, us, ms, s, m, h, as in 150ms"),
        ("-1s", "'-1s' is not a duration"),
        ("1e3ms", "'1e3ms' is not a duration"),
        ("1.ms", "'1.ms' is not a duration"),
        ("1 d", "'1 d' is not a duration"),
        ("", "'' is not a duration"),
        (None, "'None' is not a duration"),
        (False, "'False' is not a duration"),
        ("0.5ns", "'0.5ns' is finer than a nanosecond"),
        ("1" * 5_000 + "s", "a duration of 5,001 characters is not a duration: write a number and a unit, as in 150ms"),
    ],
)
def test_anything_else_says_what_to_write(text: object, words: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_duration(text)

    assert str(raised.value).startswith(words)


@given(st.integers(0, 10**20))
def test_what_is_formatted_is_read_back(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@given(st.integers(0, 10**6), st.sampled_from(["ns", "us", "ms", "s", "m", "h"]))
def test_a_formatted_duration_is_in_the_largest_unit_that_needs_no_fraction(number: int, unit: str) -> None:
    text = format_duration(parse_duration(f"{number}{unit}"))
    assert len(text) <= len(f"{number}{unit}")


def test_a_duration_is_an_integer_that_shows_its_unit() -> None:
    assert f"{Duration('7ns')} {Duration('1.5us')}" == "7ns 1500ns"
    duration = Duration("150ms")

    assert (duration, str(duration), repr(duration)) == (150_000_000, "150ms", "Duration('150ms')")
    assert type(duration * 2) is int
    assert Duration(5) == 5 and Duration() == 0
    assert pickle.loads(pickle.dumps(duration)) == duration
    assert type(pickle.loads(pickle.dumps(duration))) is Duration
