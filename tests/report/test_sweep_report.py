"""The report of a sweep, as data and in a browser."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from framework.core.errors import ConfigError
from framework.report import sweep_report
from framework.report.sweep_measures import MEASURES, sweep_rows
from framework.report.sweep_report import sweep_data, write_sweep_report
from framework.sweep.reader import open_sweep
from tests.report.conftest import OpenPage, is_wider_than_its_window
from tests.report.folders import HOSTILE, lay_run, lay_sweep
from tests.report.runs import take

Rows = list[tuple[dict[str, Any], int, dict[str, Any]]]
AXES: Mapping[str, Any] = {"protocol": "text", "nodes": "integer"}
PLACE = {measure.key: place for place, measure in enumerate(MEASURES)}
INVALID = {"verdict": "invalid", "reason": f"election safety broken at n3: two leaders in term 7 {HOSTILE}"}
UNKNOWN = {"verdict": "unknown", "reason": "a fault never fired: crash"}
TIMEOUT = {"status": "timeout", "verdict": None, "reason": "took longer than 10m", "latency_p50_ms": None, "latency_p99_ms": None}  # fmt: skip


def grid(seeds: int = 6) -> Rows:
    """Two protocols, three and eleven nodes: with eleven, runs 1 to 3 of raft are not valid."""
    bad = {1: {**INVALID, "kept": "kept/one"}, 2: UNKNOWN, 3: TIMEOUT}
    return [
        ({"protocol": protocol, "nodes": nodes}, seed, bad.get(seed, {}) if (protocol, nodes) == ("raft", 11) else {})
        for protocol in ("raft", "abd")
        for nodes in (11, 3)
        for seed in range(seeds)
    ]


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    folder = lay_sweep(tmp_path / "swept", grid(), AXES)
    lay_run(folder / "kept" / "one", {"verdict": "invalid"})
    return folder


def data_of(folder: Path) -> dict[str, Any]:
    return sweep_data(open_sweep(folder), folder / "report.html")


def test_verdicts_and_reasons_are_counted_and_the_invalid_come_first(swept: Path) -> None:
    data = data_of(swept)

    assert (data["verdict"], data["summary"], data["runs"]) == ("invalid", "24 runs", 24)
    assert {one["verdict"]: one["runs"] for one in data["counts"]} == {"valid": 21, "unknown": 1, "invalid": 1, "timeout": 1}  # fmt: skip
    assert [(one["verdict"], one["runs"]) for one in data["groups"]] == [("invalid", 1), ("timeout", 1), ("unknown", 1)]
    assert data["groups"][0]["kind"].startswith("election safety broken at …: two leaders in term …")
    first, *others = data["failures"]
    assert first["label"] == "protocol=raft, nodes=11" and first["seed"] == 1 and HOSTILE in first["reason"]
    assert {one["verdict"] for one in others} == {"unknown", "timeout"}


def test_reasons_of_one_kind_are_one_group_with_the_kept_runs_as_examples(tmp_path: Path) -> None:
    rows: Rows = [({}, seed, {"verdict": "invalid", "reason": f"two leaders in term {seed}"}) for seed in range(9)]
    rows[7][2]["kept"] = "kept/one"
    folder = lay_sweep(tmp_path / "swept", rows, {})
    (folder / "kept" / "one").mkdir(parents=True)

    data = data_of(folder)

    (group,) = data["groups"]
    assert group["kind"] == "two leaders in term …" and group["runs"] == 9
    assert [data["failures"][place]["seed"] for place in group["examples"]] == [7, 0, 1]


def test_an_axis_is_in_the_order_of_its_numbers_and_durations_are_numbers(tmp_path: Path) -> None:
    values = ("200ms", "1s", "50ms")
    folder = lay_sweep(tmp_path / "swept", [({"pause": value}, 1, {}) for value in values], {"pause": "text"})
    (axis,) = data_of(folder)["axes"]
    assert axis == {"key": "pause", "values": ("50ms", "200ms", "1s"), "numbers": [50, 200, 1000], "unit": "ms"}


@pytest.mark.parametrize(
    ("kind", "values", "shown"),
    [
        ("integer", [11, 3], ("3", "11")),
        ("number", [0.5, 0.25, 1e-9], ("1e-09", "0.25", "0.5")),
        ("boolean", [True, False], ("false", "true")),
        ("text", ["b", None, "a", ""], ("", "null", "a", "b")),
        ("text", [["crash", "loss"], ["crash"]], ('["crash","loss"]', '["crash"]')),
    ],
)
def test_values_of_each_type_have_an_order(
    kind: Any, values: list[Any], shown: tuple[str, ...], tmp_path: Path
) -> None:
    folder = lay_sweep(tmp_path / "swept", [({"axis": value}, 1, {}) for value in values], {"axis": kind})
    (axis,) = data_of(folder)["axes"]
    assert set(axis["values"]) == set(shown) and (None in values or axis["values"] == shown)


def test_text_is_in_the_order_of_the_command_line_and_durations_ascend(tmp_path: Path) -> None:
    words = ("experiment=hello", "engine=sim", "workload.timeout=2s,1s", "trace=none,full", "seed=range(0,2)")
    rows: Rows = [({"workload.timeout": time, "trace": trace}, seed, {}) for time in ("1s", "2s") for trace in ("full", "none") for seed in (0, 1)]  # fmt: skip
    folder = lay_sweep(tmp_path / "swept", rows, {"workload.timeout": "text", "trace": "text"}, overrides=words)
    data = data_of(folder)
    assert [axis["values"] for axis in data["axes"]] == [("1s", "2s"), ("none", "full")]
    assert data["verdict"] == "valid"


def test_a_sweep_that_lacks_points_is_not_valid(tmp_path: Path) -> None:
    words = ("experiment=hello", "engine=sim", "seed=range(0,9)")
    folder = lay_sweep(tmp_path / "swept", [({}, seed, {}) for seed in range(4)], {}, overrides=words, sealed=False)
    data = data_of(folder)
    assert (data["verdict"], data["summary"]) == ("unknown", "4 runs; 5 of 9 points have no row yet")


def test_rows_of_earlier_commands_do_not_fill_the_points_of_the_last(tmp_path: Path) -> None:
    words = ("experiment=hello", "engine=sim", "clients=1,2", "seed=range(0,4)")
    rows: Rows = [({"clients": clients}, seed, {}) for clients in (1, 3) for seed in range(2, 8)]
    folder = lay_sweep(tmp_path / "swept", rows, {"clients": "integer"}, overrides=words)
    data = data_of(folder)
    assert (data["verdict"], data["summary"]) == ("unknown", "12 runs; 6 of 8 points have no row yet")


def test_quantiles_are_those_of_the_runs_with_a_verdict(swept: Path) -> None:
    data = data_of(swept)
    worst = next(one for one in data["combinations"] if data["axes"][0]["values"][one["places"][0]] == "raft" and one["runs"].get("invalid"))  # fmt: skip
    values = [100.0 + seed for seed in (0, 1, 2, 4, 5)]  # not that of the time-out, which has no verdict
    assert worst["known"][PLACE["throughput_ops_s"]] == 5
    assert (
        worst["quantiles"][PLACE["throughput_ops_s"]] == np.quantile(values, sweep_report.QUANTILES).round(5).tolist()
    )
    assert worst["known"][PLACE["fsyncs"]] == 5 and worst["quantiles"][PLACE["messages"]] == [100.0] * 7
    assert worst["quantiles"][PLACE["messages_per_operation"]] == [2.0] * 7


def test_a_measure_without_values_has_no_quantiles(tmp_path: Path) -> None:
    folder = lay_sweep(tmp_path / "swept", [({}, 1, {"latency_p99_ms": None, "operations_ok": 0})], {})
    (only,) = data_of(folder)["combinations"]
    assert (
        only["quantiles"][PLACE["latency_p99_ms"]] is None
        and only["quantiles"][PLACE["messages_per_operation"]] is None
    )
    assert only["quantiles"][PLACE["throughput_ops_s"]] == [101.0] and only["known"][PLACE["latency_p99_ms"]] == 0


def test_points_are_limited_and_the_runs_that_are_not_valid_stay(swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_report, "MOST_POINTS", 10)
    monkeypatch.setattr(sweep_report, "MOST_FAILURES", 2)
    data = data_of(swept)
    standings = [sweep_report.STANDINGS[number] for number in data["points"]["standing"]]
    assert len(standings) == 10 and sorted(set(standings)) == ["invalid", "timeout", "unknown", "valid"]
    assert data["failures_left_out"] == 1 and sorted(data["points"]["failure"])[-2:] == [0, 1]
    assert sum(sum(one["runs"].values()) for one in data["combinations"]) == 24


def test_a_kept_run_gets_its_report_and_others_their_command(tmp_path: Path) -> None:
    words = ("experiment=hello", "engine=sim", "duration=200ms", "clients=1,2", "seed=range(0,2)")
    rows: Rows = [
        ({"clients": clients}, seed, INVALID if clients == 2 else {}) for clients in (1, 2) for seed in (0, 1)
    ]
    rows[-1] = ({"clients": 2}, 1, {**INVALID, "kept": "kept/one"})
    folder = lay_sweep(tmp_path / "swept", rows, {"clients": "integer"}, overrides=words)
    for name in ("one", "other"):
        take(folder / "kept" / name, "experiment=hello", "engine=sim", "duration=200ms", "run.report=never")
    result = folder / "kept" / "one" / "result.json"
    result.write_text(result.read_text().replace('"verdict": "valid"', '"verdict": "invalid"', 1))

    data = data_of(folder)

    repeated, kept = sorted(data["failures"], key=lambda one: one["seed"])
    assert kept["link"] == "kept/one/report.html" and (folder / "kept" / "one" / "report.html").exists()
    assert not (folder / "kept" / "other" / "report.html").exists(), "a valid run that is kept needs none"
    assert repeated["link"] is None
    command = shlex.split(repeated["command"])
    assert command[-4:] == ["engine=sim", "duration=200ms", "clients=2", "seed=0"]


def test_the_command_is_made_of_the_settings_if_the_plan_cannot_be(swept: Path) -> None:
    """The sweep's experiment is not there."""
    data = data_of(swept)
    unknown = next(one for one in data["failures"] if one["verdict"] == "unknown")
    assert unknown["command"].endswith("""'experiment="hello"' protocol=raft nodes=11 seed=2""")


@pytest.mark.parametrize("kept", ["kept/gone", "../outside", "/", "", "kept/\x00"])
def test_a_folder_that_is_not_there_or_not_the_sweeps_is_no_link(kept: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    folder = lay_sweep(tmp_path / "swept", [({}, 1, {**INVALID, "kept": kept})], {})
    (failure,) = data_of(folder)["failures"]
    assert failure["link"] is None and failure["command"]


def test_a_kept_run_that_cannot_be_read_is_linked_as_a_folder(swept: Path) -> None:
    shutil.rmtree(swept / "kept" / "one")
    (swept / "kept" / "one").mkdir()
    assert data_of(swept)["failures"][0]["link"] == "kept/one/"


def test_a_sweep_without_rows_and_one_where_only_the_seed_varies(tmp_path: Path) -> None:
    empty = data_of(lay_sweep(tmp_path / "empty", [], AXES))
    assert (empty["verdict"], empty["summary"], empty["combinations"]) == ("no verdict", "no run has ended yet", [])
    single = data_of(lay_sweep(tmp_path / "single", [({}, seed, {}) for seed in range(3)], {}))
    assert [one["places"] for one in single["combinations"]] == [()] and single["axes"] == []


def test_the_data_are_json_and_the_same_each_time(swept: Path) -> None:
    one, other = (json.dumps({**data_of(swept), "made": ""}, allow_nan=False) for _ in range(2))
    assert one == other


def test_labels_name_each_combination(swept: Path) -> None:
    rows = sweep_rows(open_sweep(swept).rows, AXES, {"protocol": ["raft", "abd"]})
    assert [rows.label(place) for place in range(4)] == [
        "protocol=raft, nodes=3", "protocol=raft, nodes=11", "protocol=abd, nodes=3", "protocol=abd, nodes=11",
    ]  # fmt: skip


def test_no_sweep_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a sweep"):
        write_sweep_report(tmp_path)


# In a browser.


def test_each_run_that_is_not_valid_is_a_mark_that_leads_to_it(swept: Path, browser_page: OpenPage) -> None:
    page = browser_page(write_sweep_report(swept))
    throughput = page.locator("figure.measure").first

    expect(page.locator("figure.measure")).to_have_count(3)
    expect(throughput.locator(".panel")).to_have_count(2)
    expect(throughput.locator(".box")).to_have_count(4)
    mark = throughput.locator("a.run.invalid")
    assert mark.get_attribute("href") == "kept/one/report.html"
    assert (mark.get_attribute("aria-label") or "").startswith("invalid: protocol=raft, nodes=11, seed=1: ")
    button = throughput.get_by_role("button", name="unknown: protocol=raft")
    button.focus()
    button.press("Enter")
    assert "seed=2" in page.locator(".tray pre").inner_text()
    assert throughput.locator(".note").inner_text().endswith("1 run has no value")


def test_hostile_text_stays_text(swept: Path, browser_page: OpenPage) -> None:
    page = browser_page(write_sweep_report(swept))
    assert HOSTILE in page.locator("#runs").inner_text()
    assert "</script><script>alert(…)</script>" in page.locator("#reasons").inner_text()
    expect(page.locator("main script")).to_have_count(0)


def test_the_axis_the_values_and_the_measure_are_chosen(swept: Path, browser_page: OpenPage) -> None:
    page = browser_page(write_sweep_report(swept))
    figures = page.locator("figure.measure")
    assert figures.first.locator("h4").all_inner_texts() == ["protocol=abd", "protocol=raft"]

    page.get_by_label("Axis").select_option(label="protocol")
    assert figures.first.locator("h4").all_inner_texts() == ["nodes=3", "nodes=11"]
    page.get_by_label("nodes", exact=True).select_option(label="11")
    assert figures.first.locator("h4").all_inner_texts() == ["nodes=11"]
    page.get_by_label("Also show").select_option(label="fsyncs")
    expect(figures).to_have_count(4)
    assert figures.nth(3).locator("figcaption").inner_text().startswith("fsyncs")
    page.get_by_label("Scale").select_option("log")
    assert "logarithmic" in figures.first.inner_text() and "2 at zero" not in figures.first.inner_text()


def test_the_figures_are_tables_too(swept: Path, browser_page: OpenPage) -> None:
    page = browser_page(write_sweep_report(swept))
    throughput = page.locator("figure.measure").first
    throughput.get_by_text("Table").click()
    expect(throughput.locator("tbody tr")).to_have_count(4)
    throughput.get_by_role("button", name="median").click()
    page.get_by_text("All 24 runs").click()
    expect(page.locator("#runs details tbody tr")).to_have_count(24)


def test_many_numbers_are_an_axis_with_a_scale(tmp_path: Path, browser_page: OpenPage) -> None:
    rows: Rows = [({"rate": rate, "nodes": 3 + rate % 2}, rate, UNKNOWN if rate == 5 else {}) for rate in range(1, 40)]
    page = browser_page(
        write_sweep_report(lay_sweep(tmp_path / "swept", rows, {"rate": "integer", "nodes": "integer"}))
    )
    throughput = page.locator("figure.measure").first
    assert throughput.locator("h4").all_inner_texts() == ["nodes=3", "nodes=4"]
    expect(throughput.locator(".run.unknown")).to_have_count(1)
    expect(throughput.locator(".box")).to_have_count(0)
    assert "over rate" in throughput.locator(".note").inner_text()


@pytest.mark.parametrize("rows", [[], [({}, 0, {})], [({}, seed, TIMEOUT) for seed in range(3)]], ids=["none", "one", "no value"])  # fmt: skip
def test_little_is_a_page_too(rows: Rows, tmp_path: Path, browser_page: OpenPage) -> None:
    page = browser_page(write_sweep_report(lay_sweep(tmp_path / "swept", rows, {})))
    assert page.get_by_role("heading", name="Sweep of hello").is_visible()


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1400, False)])
def test_the_page_is_no_wider_than_its_window(width: int, dark: bool, swept: Path, browser_page: OpenPage) -> None:
    page = browser_page(write_sweep_report(swept), width, dark=dark)
    page.locator("figure.measure").first.locator(".run[role=button]").first.click()
    assert not is_wider_than_its_window(page)
