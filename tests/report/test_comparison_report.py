"""The comparison of two sweeps: the numbers, against slower ways to find them, and the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from framework.core.errors import ConfigError
from framework.report.comparison_report import (
    RESAMPLES,
    MedianDifference,
    comparison_data,
    difference,
    resampled_medians,
    write_comparison,
)
from framework.report.sweep_measures import MEASURES
from framework.sweep.reader import open_sweep
from tests.report.conftest import OpenPage, is_wider_than_its_window
from tests.report.folders import HOSTILE, lay_sweep

THROUGHPUT, STEPS = MEASURES[0], next(one for one in MEASURES if one.key == "steps")
LATENCY = MEASURES[1]
AXES: Mapping[str, Any] = {"nodes": "integer", "protocol": "text"}


def lay(folder: Path, faster: float = 0.0, nodes: tuple[int, ...] = (3, 5), seeds: int = 12, **head: Any) -> Path:
    rows = [
        ({"nodes": many, "protocol": HOSTILE}, seed, {"throughput_ops_s": 100.0 + seed + (faster if many == 3 else 0.0),
         **({"verdict": "invalid", "reason": "bad"} if faster and seed == 0 else {})})
        for many in nodes
        for seed in range(seeds)
    ]  # fmt: skip
    return lay_sweep(folder, rows, head.pop("axes", AXES), **head)


def compared(first: Path, second: Path) -> dict[str, Any]:
    return comparison_data(open_sweep(first), open_sweep(second))


# The interval.


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 10, 31])
def test_medians_are_distributed_as_those_of_samples_drawn_one_by_one(number: int) -> None:
    values = np.arange(number, dtype=float) ** 1.5
    naive = np.median(np.random.default_rng(1).choice(values, (100_000, number)), axis=1)
    ours = resampled_medians(values, np.random.default_rng(2), 100_000)
    points = np.unique(naive)
    shares = [np.searchsorted(np.sort(one), points, side="right") / len(one) for one in (naive, ours)]
    assert np.isin(np.unique(ours), points).mean() > 0.9 and np.abs(shares[0] - shares[1]).max() < 0.01


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        first, second = np.sort(rng.normal(0, 1, 25)), np.sort(rng.normal(0.5, 1, 25))
        found = difference(first, second, rng)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.5 <= found.high
    assert 0.90 <= covered / 300 <= 0.99


def test_a_difference_is_the_same_for_the_same_seed() -> None:
    values = np.arange(20.0)
    one, other = (difference(values, values + 3, np.random.default_rng([1, 2])) for _ in range(2))
    assert one == other and one.difference == 3.0 and one.low is not None and one.low < 3 < (one.high or 0)


def test_too_few_runs_have_medians_and_no_interval() -> None:
    few, many = np.arange(4.0), np.arange(9.0)
    assert difference(few, many, np.random.default_rng(1)) == MedianDifference((4, 9), (1.5, 4.0))
    assert difference(few[:0], many, np.random.default_rng(1)).difference is None


@pytest.mark.parametrize(
    ("low", "high", "measure", "words"),
    [
        (1.0, 2.0, THROUGHPUT, "higher: the interval excludes zero, better"),
        (1.0, 2.0, LATENCY, "higher: the interval excludes zero, worse"),
        (-2.0, -1.0, THROUGHPUT, "lower: the interval excludes zero, worse"),
        (-2.0, -1.0, LATENCY, "lower: the interval excludes zero, better"),
        (-2.0, -1.0, STEPS, "lower: the interval excludes zero"),
        (-1.0, 2.0, LATENCY, "no difference shown: the interval includes zero"),
        (0.0, 2.0, LATENCY, "no difference shown: the interval includes zero"),
        (0.0, 0.0, LATENCY, "the same"),
        (None, None, LATENCY, "too few runs: 3 and 9"),
    ],
)
def test_the_words_of_an_interval(low: float | None, high: float | None, measure: Any, words: str) -> None:
    assert MedianDifference((3, 9), (1.0, 2.0), low, high).words(measure) == words


def test_the_words_without_a_value() -> None:
    assert MedianDifference((0, 9), (None, 2.0)).words(LATENCY) == "no value"


# The sweeps.


def test_combinations_of_both_are_compared(tmp_path: Path) -> None:
    first = lay(tmp_path / "first", nodes=(3, 5, 7))
    second = lay(tmp_path / "second", 50.0, nodes=(9, 5, 3), fixed=('experiment="hello"', 'clients="9"'))

    data = compared(first, second)

    assert [one["label"] for one in data["combinations"]] == [f"nodes=3, protocol={HOSTILE}", f"nodes=5, protocol={HOSTILE}"]  # fmt: skip
    assert data["only"] == [1, 1] and data["names"] == ["first", "second"]
    three, five = data["measures"][0]["rows"]
    assert three["medians"] == [105.5, 155.5] and three["difference"] == 50.0 and 40 < three["low"] < 50 < three["high"]
    assert three["words"] == "higher: the interval excludes zero, better"
    assert five["low"] < 0 < five["high"] and five["words"].startswith("no difference shown")
    assert data["counts"] == [{"valid": 36}, {"valid": 33, "invalid": 3}]
    assert data["combinations"][0]["counts"] == [{"valid": 12}, {"valid": 11, "invalid": 1}]
    assert data["settings"] == [{"key": "clients", "values": [None, "9"]}]
    assert f"{RESAMPLES:,}" in data["method"] and "bootstrap" in data["method"]


def test_keys_may_be_in_another_order(tmp_path: Path) -> None:
    first = lay(tmp_path / "first")
    second = lay(tmp_path / "second", axes={"protocol": "text", "nodes": "number"})
    assert len(compared(first, second)["combinations"]) == 2


def test_the_data_are_json_and_the_same_each_time(tmp_path: Path) -> None:
    first, second = lay(tmp_path / "first"), lay(tmp_path / "second", 9.0)
    one, other = (json.dumps({**compared(first, second), "made": ""}, allow_nan=False) for _ in range(2))
    assert one == other


def test_folders_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    first, second = lay(tmp_path / "a" / "runs"), lay(tmp_path / "b" / "runs")
    assert compared(first, second)["names"] == [str(first), str(second)]


def test_sweeps_that_cannot_be_compared_are_one_clear_error(tmp_path: Path) -> None:
    first = lay(tmp_path / "first")
    other = lay_sweep(tmp_path / "other", [({"rate": 1}, 0, {})], {"rate": "integer"})
    with pytest.raises(ConfigError, match=r"vary different keys: only .*first varies nodes, protocol; only .*other varies rate"):  # fmt: skip
        write_comparison(first, other)
    with pytest.raises(ConfigError, match="have no combination in common"):
        write_comparison(first, lay(tmp_path / "apart", nodes=(9,)))
    with pytest.raises(ConfigError, match="no such folder"):
        write_comparison(first, tmp_path / "gone")


def test_the_page_shows_intervals_and_says_what_they_mean(tmp_path: Path, browser_page: OpenPage) -> None:
    written = write_comparison(lay(tmp_path / "first"), lay(tmp_path / "second", 50.0))
    assert written == tmp_path / "second" / "comparison.html"
    page = browser_page(written)

    throughput = page.locator("figure.measure").first
    expect(throughput.locator(".interval")).to_have_count(2)
    expect(throughput.locator(".interval.sure")).to_have_count(1)
    assert "1 of 2 intervals exclude zero" in throughput.inner_text()
    assert "higher: the interval excludes zero, better" in throughput.inner_text()
    assert throughput.get_by_role("cell", name=HOSTILE).first.is_visible() and page.locator("main script").count() == 0
    assert "bootstrap" in page.locator("header").inner_text()
    row = page.locator("#verdicts tbody tr").first
    assert row.locator("td").all_inner_texts() == ["24", "22", "0", "2"]
    page.get_by_label("Also show").select_option(label="steps")
    expect(page.locator("figure.measure")).to_have_count(4)


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1400, False)])
def test_the_page_is_no_wider_than_its_window(width: int, dark: bool, tmp_path: Path, browser_page: OpenPage) -> None:
    page = browser_page(write_comparison(lay(tmp_path / "first"), lay(tmp_path / "second", 9.0)), width, dark=dark)
    assert not is_wider_than_its_window(page)
