"""Quantiles in constant memory, against the sorted list."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from framework.load.histogram import LatencyHistogram

durations = st.lists(st.one_of(st.integers(0, 3000), st.integers(0, 10**13)), min_size=1, max_size=60)


def recorded(values: list[int]) -> LatencyHistogram:
    latencies = LatencyHistogram()
    for value in values:
        latencies.record(value)
    return latencies


def exact(values: list[int], fraction: str) -> int:
    return sorted(values)[max(1, ceil(Fraction(fraction) * len(values))) - 1]


@given(durations)
def test_quantiles_are_the_exact_ones_or_up_to_a_thousandth_above(values: list[int]) -> None:
    latencies = recorded(values)
    for fraction in ("0", "0.5", "0.95", "0.99", "1"):
        truth, measured = exact(values, fraction), latencies.quantile(float(fraction))
        assert measured is not None and truth <= measured <= truth + truth // 1000
    assert latencies.quantile(1.0) == latencies.max == max(values)


@given(durations, durations)
def test_two_counts_add_up_to_one(first: list[int], second: list[int]) -> None:
    both = recorded(first)
    both.add(recorded(second))
    together = recorded(first + second)

    assert (both.counts, both.count, both.max) == (together.counts, together.count, together.max)


def test_memory_grows_with_the_logarithm_of_the_range() -> None:
    latencies = recorded([round(1.0001**power) for power in range(250_000)])
    assert len(latencies.counts) < 30 * 1024


def test_a_summary_is_in_milliseconds_and_none_where_nothing_was_counted() -> None:
    assert LatencyHistogram().summary_ms() == {"p50": None, "p95": None, "p99": None, "max": None}
    assert recorded([2_000_000]).summary_ms() == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "max": 2.0}
