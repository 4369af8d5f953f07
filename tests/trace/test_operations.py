"""Throughput, latency and their distribution, from a history written by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from framework.core.time import MILLISECOND, SECOND
from framework.trace.operations import MOST_BINS, load_data
from framework.trace.recorder import HistoryRow, history_batch
from framework.trace.schema import HISTORY, NameTable


def history(*rows: tuple[str, str, float, float | None], scheduled: float | None = None) -> pa.Table:
    """Each row: function, outcome, invoked and completed in milliseconds."""
    full: list[HistoryRow] = []
    for number, (function, outcome, invoked, completed) in enumerate(rows):
        begun, end = int(invoked * MILLISECOND), None if completed is None else int(completed * MILLISECOND)
        due = begun if scheduled is None else int(scheduled * MILLISECOND)
        full.append((number, "c1", 0, function, "x", "null", None, outcome, due, begun, end))
    if not full:
        return HISTORY.empty_table()
    return pa.Table.from_batches([history_batch(full, NameTable(), NameTable(), HISTORY)])


def load(*rows: tuple[str, str, float, float | None], end: int = SECOND, **more: Any) -> dict[str, Any]:
    found = load_data(history(*rows, **more), end)
    assert found is not None
    return found


def group(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in data["groups"] if one["name"] == name)


def test_no_operations_are_no_data() -> None:
    assert load_data(history(), SECOND) is None


def test_reads_and_writes_are_apart() -> None:
    data = load(("read", "ok", 0, 2), ("write", "ok", 0, 4), ("cas", "ok", 0, 6), ("read", "ok", 500, 503))

    reads, writes = group(data, "reads"), group(data, "writes")
    width = 1 / len(data["at"])
    assert sum(reads["rate"]) * width == pytest.approx(2, rel=0.01)
    assert sum(writes["rate"]) * width == pytest.approx(2, rel=0.01)
    assert [value for value in reads["p50"] if value is not None] == [2.0, 3.0]
    assert [value for value in writes["p99"] if value is not None] == [6.0]


def test_without_reads_the_most_frequent_functions_are_groups_of_their_own() -> None:
    few = load(("enqueue", "ok", 0, 1), ("dequeue", "ok", 0, 1), ("dequeue", "ok", 0, 1))
    assert [one["name"] for one in few["groups"]] == ["dequeue", "enqueue"]
    many = load(*((name, "ok", 0, 1) for name in "aabbccde"))
    assert [one["name"] for one in many["groups"]] == ["a", "b", "c", "others"]
    assert load(("read", "ok", 0, 1))["groups"][0]["name"] == "read", "alone, it needs no group"


def test_what_was_not_answered_counts_when_it_began() -> None:
    data = load(("write", "ok", 0, 1), ("write", "unknown", 995, None), ("write", "fail", 0, 1))

    (writes,) = data["groups"]
    assert writes["unanswered"][0] > 0 and writes["unanswered"][-1] > 0
    assert sum(value > 0 for value in writes["rate"]) == 1
    assert writes["p50"][-1] is None


def test_latency_counts_from_the_time_an_operation_was_due() -> None:
    (writes,) = load(("write", "ok", 100, 101), scheduled=60)["groups"]
    assert [value for value in writes["p50"] if value is not None] == [41.0]


def test_percentiles_are_those_of_the_operations_in_their_time() -> None:
    rows = [("write", "ok", 0, latency / 10) for latency in range(1, 101)]
    (writes,) = load(*rows, end=100 * MILLISECOND * MOST_BINS)["groups"]
    assert (writes["p50"][0], writes["p99"][0]) == (5.0, 9.9)


def test_bins_are_few_and_cover_the_run() -> None:
    for end in (1, MILLISECOND, SECOND, 77 * SECOND, 3_600 * SECOND):
        data = load(("write", "ok", 0, 0.0001), end=end)
        assert 1 <= len(data["at"]) <= MOST_BINS
        assert 0 < data["at"][-1] <= end / SECOND + 1e-6


def test_the_distribution_ends_at_all_of_them() -> None:
    data = load(("write", "ok", 0, 1), ("write", "ok", 0, 100), ("write", "unknown", 0, None))

    (writes,) = data["cdf"]["groups"]
    shares = dict(zip(data["cdf"]["at"], writes["share"], strict=True))
    assert (shares[0.95], shares[1.0], shares[100.0], shares[105.0]) == (0.0, 0.5, 1.0, 1.0)
    assert writes["share"] == sorted(writes["share"])


def test_with_no_answer_there_is_no_distribution() -> None:
    assert load(("write", "unknown", 0, None))["cdf"] == {"at": [], "groups": []}


def test_equal_latencies_are_a_step() -> None:
    data = load(("write", "ok", 0, 2), ("write", "ok", 10, 12))
    assert data["cdf"]["at"] == [1.9, 2.0, 2.1] and data["cdf"]["groups"][0]["share"] == [0.0, 1.0, 1.0]


def test_the_distribution_leaves_the_warm_up_out() -> None:
    rows = history(("write", "ok", 0, 500), ("write", "ok", 600, 602))
    data = load_data(rows, SECOND, warmup=550 * MILLISECOND)
    assert data is not None and data["cdf"]["at"][-2] == 2.0
    assert sum(value is not None for value in data["groups"][0]["p50"]) == 2, "it is part of the course over time"


@pytest.mark.parametrize("end", [150_000_001, 149_999_999, 150 * MILLISECOND, 154 * MILLISECOND, 156 * MILLISECOND])
def test_what_ends_in_the_last_moment_makes_no_peak(end: int) -> None:
    rows = [("write", "ok", at, at + 1) for at in range(150)] + [("write", "ok", 0, end / MILLISECOND)]
    (writes,) = load(*rows, end=end)["groups"]
    assert max(writes["rate"]) <= 3_000


@pytest.mark.parametrize(("operations", "width_ms"), [(2, 500), (100, 100), (600, 20)])
def test_few_operations_are_counted_in_wide_bins(operations: int, width_ms: int) -> None:
    """In bins of 20 ms, two operations in 2.4 s would be two spikes of 50 operations per second."""
    at = [place * 2400 / operations for place in range(operations)]
    data = load(*(("write", "ok", begun, begun + 1) for begun in at), end=2400 * MILLISECOND)
    assert (data["at"][1] - data["at"][0]) * 1000 == pytest.approx(width_ms)
