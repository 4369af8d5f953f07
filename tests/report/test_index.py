"""The index of a folder of runs, as data and in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from framework.core.errors import ConfigError
from framework.registry.registry import Registry, load
from framework.report.index_report import index_data, write_index
from framework.report.run_list import listed_runs
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


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1400, False)])
def test_the_page_is_no_wider_than_its_window(width: int, dark: bool, runs: Path, registry: Registry, browser_page: OpenPage) -> None:  # fmt: skip
    page = browser_page(write_index(runs, registry=registry), width, dark=dark)
    page.get_by_label("Compare fast").check()
    page.get_by_label("Compare slow").check()
    assert not is_wider_than_its_window(page)
