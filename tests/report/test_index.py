"""The index of a folder of runs, as data and in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from framework.core.errors import ConfigError
from framework.core.time import MILLISECOND
from framework.registry.registry import Registry, load
from framework.report import index_report
from framework.report.index_report import index_data, write_index
from framework.report.run_list import listed_runs
from framework.trace.recorder import HistoryWriter
from tests.report.conftest import OpenPage, is_wider_than_its_window
from tests.report.folders import HOSTILE, lay_run, lay_sweep


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load([])


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs, one of them cut off, and a sweep."""
    folder = tmp_path / "runs"
    slow = {"verdict": "invalid", "reasons": [f"{HOSTILE} & more", "and more"], "experiment": HOSTILE, "seed": 2,
            "throughput_ops_s": 50.0, "operations": {"ok": 80, "fail": 0, "unknown": 0}, "started": "2026-01-03T00:00:00Z"}  # fmt: skip
    lay_run(folder / "fast")
    lay_run(folder / "slow", slow, nodes=5)
    (lay_run(folder / "cut", nodes=7) / "result.json").unlink()
    lay_sweep(folder / "swept", [({}, 0, {})], {})
    return folder


def test_settings_are_shared_unless_they_differ(runs: Path, registry: Registry) -> None:
    data = index_data(runs, listed_runs(runs, registry), runs / "index.html")
    by_name = {run["name"]: run for run in data["runs"]}

    assert data["shared"]["engine.name"] == "sim"
    nodes = {name: run["settings"].get("nodes", data["shared"]["nodes"]) for name, run in by_name.items()}
    assert nodes["fast"] == "3" and nodes["slow"] == "5" and nodes["cut"] == "7"
    assert "engine.name" not in by_name["slow"]["settings"]
    assert data["counts"] == [
        {"verdict": "valid", "runs": 2}, {"verdict": "invalid", "runs": 1}, {"verdict": "no verdict", "runs": 1},
    ]  # fmt: skip


def test_a_link_leads_to_the_report_if_there_is_one_else_to_the_folder(runs: Path, registry: Registry) -> None:
    odd = lay_run(runs / "javascript:alert(1)#?%")
    (runs / "fast" / "report.html").write_text("")

    def links(page: Path) -> dict[str, str]:
        data = index_data(runs, listed_runs(runs, registry), page)
        return {run["name"]: run["link"] for run in data["runs"]}

    assert links(runs / "index.html")["fast"] == "fast/report.html"
    assert links(runs / "index.html")["slow"] == "slow/"
    assert links(runs / "index.html")[odd.name] == "javascript%3Aalert%281%29%23%3F%25/"
    assert links(runs.parent / "index.html")["swept"] == "runs/swept/"


def test_the_page_is_the_same_each_time_apart_from_its_last_line(runs: Path, registry: Registry) -> None:
    one, other = (index_data(runs, listed_runs(runs, registry), runs / "index.html") for _ in range(2))
    assert {**one, "made": ""} == {**other, "made": ""}


def test_a_folder_without_runs_is_one_clear_error(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"holds no run and no sweep\. Make a run with .*experiment=raft_5nodes"):
        write_index(tmp_path, registry=registry)


def test_the_list_is_sorted_and_filtered(runs: Path, registry: Registry, browser_page: OpenPage) -> None:
    page = browser_page(write_index(runs, registry=registry))
    rows = page.locator("#runs tbody tr")
    expect(rows).to_have_count(4)
    assert page.get_by_text("4 of 4 shown").is_visible()

    page.get_by_role("button", name="ops/s").click()
    assert "250.5" in rows.nth(0).inner_text() and "50" in rows.nth(1).inner_text()
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("ops/s")
    page.get_by_role("button", name="ops/s").click()
    assert "250.5" not in rows.nth(0).inner_text()

    page.get_by_label("Search").fill("NODES=5 invalid")
    expect(rows).to_have_count(1)
    assert page.get_by_text("1 of 4 shown").is_visible()
    page.get_by_label("Search").fill("")
    page.get_by_label("Verdict").select_option("no verdict")
    expect(rows).to_have_count(1)
    assert "was cut off" in rows.nth(0).inner_text()


def test_hostile_names_stay_text(runs: Path, registry: Registry, browser_page: OpenPage) -> None:
    page = browser_page(write_index(runs, registry=registry))
    assert page.get_by_role("link", name=HOSTILE, exact=True).get_attribute("href") == "slow/"
    assert page.get_by_text(f"{HOSTILE} & more").is_visible()
    expect(page.locator("main script")).to_have_count(0)


def test_two_runs_are_shown_side_by_side(runs: Path, registry: Registry, browser_page: OpenPage) -> None:
    page = browser_page(write_index(runs, registry=registry))
    assert page.get_by_label("Compare swept").is_disabled()
    page.get_by_label("Compare fast").check()
    assert page.get_by_text("Select another run").is_visible()
    page.get_by_label("Compare slow").check()

    compared = page.locator("#compared")
    throughput = compared.get_by_role("row", name="operations/s")
    assert throughput.locator("td").all_inner_texts() == ["250.5", "50", "−80%"]
    assert compared.get_by_role("row", name="nodes").first.locator("td").all_inner_texts() == ["3", "5"]
    assert "and more" in compared.locator(".verdict.invalid").inner_text()

    page.get_by_label("Compare cut").check()  # the one chosen first is let go
    assert not page.get_by_label("Compare fast").is_checked()
    page.get_by_role("button", name="Clear").click()
    expect(compared).to_have_count(0)


def lay_history(folder: Path, operations: int, latency_ms: int) -> None:
    writer = HistoryWriter(folder / "history.arrow")
    for number in range(operations):
        at = number * 10 * MILLISECOND
        writer.rows.append((number, "c1", 0, "read", "x", "null", "1", "ok", at, at, at + latency_ms * MILLISECOND))
    writer.close()


def test_two_runs_side_by_side_have_their_curves_in_the_same_charts(
    runs: Path, registry: Registry, browser_page: OpenPage
) -> None:
    lay_history(runs / "fast", 500, 1)
    lay_history(runs / "slow", 500, 8)
    page = browser_page(write_index(runs, registry=registry))
    for name in ("fast", "slow"):
        page.get_by_label(f"Compare {name}").check()

    charts = page.locator("#compared figure.chart")
    expect(charts).to_have_count(2)
    expect(charts.nth(0).locator(".legend .item")).to_have_text(["fast", "slow"])
    expect(charts.nth(1).locator(".legend .item")).to_have_count(4)
    charts.nth(1).locator("summary").click()
    first = charts.nth(1).locator("tbody tr").first.locator("td")
    expect(first).to_have_text(["1 ms", "1 ms", "8 ms", "8 ms"])

    page.get_by_label("Compare cut").check()
    expect(page.locator("#compared .missing").first).to_have_text("cut: no curves. It has no history.")
    expect(charts).to_have_count(2)


def test_curves_are_bounded_in_each_run_and_in_all(
    runs: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_history(runs / "fast", 20_000, 1)
    lay_history(runs / "slow", 30, 8)
    (runs / "cut" / "history.arrow").write_bytes(b"damaged")

    def rows() -> dict[str, dict[str, Any]]:
        return {run["name"]: run for run in index_data(runs, listed_runs(runs, registry), runs / "index.html")["runs"]}

    found = rows()
    assert {len(values) for values in found["fast"]["curves"].values()} == {40}, "bins of 5 s in 200 s"
    assert sum(found["slow"]["curves"]["rate"]) * 0.05 == pytest.approx(30, rel=0.1)
    assert "history.arrow" in found["cut"]["no_curves"] and found["swept"]["curves"] is None
    monkeypatch.setattr(index_report, "MOST_CURVES", 2)  # the newest: cut, slow
    assert rows()["slow"]["curves"] and rows()["fast"]["no_curves"].startswith("The page has the curves of the")
    monkeypatch.setattr(index_report, "LONGEST_HISTORY", 10)
    assert rows()["slow"]["no_curves"].startswith("Its history is longer than")


def test_the_list_fits_a_window_of_1200(runs: Path, registry: Registry, browser_page: OpenPage) -> None:
    words = " ".join(f"reason-{number}" for number in range(40))
    long = {"verdict": "invalid", "reasons": [words], "experiment": "three_phase_commit_partition"}
    lay_run(runs / "long", long, nodes=9, faults={"schedule": {"name": "schedule", "steps": ["x" * 500]}})
    page = browser_page(write_index(runs, registry=registry), 1200)
    table, around = page.locator("#runs table").bounding_box(), page.locator("#runs .scroll").bounding_box()
    assert table is not None and around is not None and table["width"] <= around["width"]
    height = page.locator("#runs tbody tr", has_text="reason-0").bounding_box()
    assert height is not None and height["height"] < 150, "a row shows the first lines of a long text"


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1400, False)])
def test_the_page_is_no_wider_than_its_window(width: int, dark: bool, runs: Path, registry: Registry, browser_page: OpenPage) -> None:  # fmt: skip
    page = browser_page(write_index(runs, registry=registry), width, dark=dark)
    page.get_by_label("Compare fast").check()
    page.get_by_label("Compare slow").check()
    assert not is_wider_than_its_window(page)


def test_a_history_that_no_run_writes_costs_its_curves_alone(runs: Path, registry: Registry) -> None:
    writer = HistoryWriter(runs / "fast" / "history.arrow")
    writer.rows.append((0, "c1", 0, "read", "x", "null", "1", "ok", 0, 0, -5 * MILLISECOND))
    writer.rows.append((1, "c1", 0, "read", "x", "null", "1", "ok", 0, 0, MILLISECOND))
    writer.close()
    rows = index_data(runs, listed_runs(runs, registry), runs / "index.html")["runs"]
    (fast,) = [run for run in rows if run["name"] == "fast"]
    assert fast["curves"] is None and fast["no_curves"].startswith("Its history cannot be read (")
