"""The page of a run in a real browser: it draws itself without an error, shows its marks, and works by keyboard."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from framework.report.document import write_page
from framework.report.run_report import run_data, write_run_report
from framework.trace.reader import open_run
from tests.report.conftest import OpenPage, is_wider_than_its_window
from tests.report.runs import BLOCKED, BROKEN, RAFT, take

pytestmark = pytest.mark.long

PARTS = ("load", "nodes", "faults", "messages", "checks", "config")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028& "


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    take(folder / "valid", *RAFT)
    take(folder / "invalid", *BROKEN, code=1)
    take(folder / "blocked", *BLOCKED)
    return folder


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", ["valid", "invalid", "blocked"])
def test_a_page_draws_itself_at_any_width_and_in_both_schemes(
    taken: Path, browser_page: OpenPage, name: str, width: int, dark: bool
) -> None:
    page = browser_page(taken / name / "report.html", width, dark=dark)

    for part in PARTS:
        expect(page.locator(f"section#{part} h2")).to_be_visible()
    expect(page.locator(".verdict strong")).to_contain_text("invalid" if name == "invalid" else "valid")
    assert page.locator("canvas").count() >= 3, "throughput, latency and their distribution"
    assert page.locator("figure.timeline svg rect.state").count() >= 4
    assert not is_wider_than_its_window(page)


def test_a_valid_run_shows_leaders_faults_and_links(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "valid" / "report.html")

    expect(page.locator("figure.timeline svg .mark title").first).to_contain_text("leads, term 1")
    assert page.locator("figure.timeline svg rect.band").count() >= 1
    expect(page.locator("figure.timeline .legend")).to_contain_text("▲leader")
    expect(page.locator("figure.timeline svg rect.down title").first).to_contain_text("down")
    expect(page.locator("#messages table.matrix caption")).to_be_visible()
    expect(page.locator(".command pre")).to_contain_text("python -m framework.run experiment=raft_chaos")


def test_an_invalid_run_shows_its_evidence_before_anything_else(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "invalid" / "report.html")

    story = page.locator("header .story pre")
    expect(story).to_contain_text("here it broke")
    box, charts = story.bounding_box(), page.locator("section#load").bounding_box()
    assert box is not None and charts is not None and box["y"] < charts["y"]


def test_faults_are_named_where_they_are_in_force(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "valid" / "report.html")

    for figure in ("section#load figure.chart >> nth=0", "section#nodes figure.timeline", "section#nodes figure.chart"):
        names = page.locator(f"{figure} >> .fault")
        expect(names).to_have_text(["clock", "partition", "clock", "crash"])
        for name in names.all():
            assert (box := name.bounding_box()) is not None and box["width"] > 20
    page.set_viewport_size({"width": 400, "height": 900})
    narrow = page.locator("section#load figure.chart >> nth=0 >> .fault")
    expect(narrow.filter(has_text="…").first).to_be_visible()
    expect(narrow.filter(has_text="partition")).to_have_count(0)


def test_the_failure_is_marked_in_every_chart_over_time(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "invalid" / "report.html")

    charts = page.locator("figure.chart:has(.layer .failed)")
    expect(charts).to_have_count(3)
    expect(charts.first.locator(".layer .failure")).to_have_text("✕ agreement, 2,420 ms")
    expect(page.locator("figure.timeline svg .failure text")).to_have_text("✕ agreement, 2,420 ms")
    expect(page.locator("figure.timeline svg .failure title").first).to_have_text("agreement, 2,420 ms")
    broke = page.locator("header .story pre").inner_text().partition("← here it broke")[0].splitlines()[-1]
    assert broke.strip().startswith("2,420.000000 ms"), "the story has the same notation"


def test_a_valid_run_has_no_failure(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "valid" / "report.html")
    expect(page.locator(".layer .failed, svg .failure")).to_have_count(0)


def test_what_is_zoomed_stays_so_when_the_window_changes(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "valid" / "report.html")
    chart = page.locator("figure.chart").first
    names = chart.locator(".layer .fault")
    expect(names).to_have_text(["clock", "partition", "clock", "crash"])

    over = chart.locator(".u-over").bounding_box()
    assert over is not None
    page.mouse.move(over["x"] + 0.1 * over["width"], over["y"] + 50)
    page.mouse.down()
    page.mouse.move(over["x"] + 0.3 * over["width"], over["y"] + 50, steps=5)
    page.mouse.up()
    expect(names).to_have_text(["clock", "partition"])
    page.set_viewport_size({"width": 900, "height": 900})
    page.emulate_media(color_scheme="dark")
    expect(chart.locator("canvas")).to_have_attribute("width", re.compile(r"^8\d\d$"))
    expect(names).to_have_text(["clock", "partition"])
    chart.locator(".u-over").dblclick()
    expect(names).to_have_count(4)


def test_all_times_are_in_milliseconds(taken: Path, browser_page: OpenPage) -> None:
    for name in ("valid", "invalid", "blocked"):
        page = browser_page(taken / name / "report.html")
        for summary in page.locator("section#load summary, section#nodes summary, section#faults summary").all():
            summary.click()
        for part in ("header", ".tiles", "section#load", "section#nodes", "section#faults", "section#checks"):
            text = page.locator(part).inner_text()
            assert not re.findall(r"\d s\b", text), (name, part)


def test_the_arrow_keys_move_through_a_chart(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "valid" / "report.html")
    chart = page.locator("figure.chart").first

    chart.focus()
    page.keyboard.press("PageDown")
    first = chart.locator(".legend .at").inner_text()
    page.keyboard.press("ArrowRight")
    second = chart.locator(".legend .at").inner_text()

    assert first.startswith("ms of the run") and first.endswith(" ms") and first != second
    expect(page.locator("figure.chart").nth(1).locator(".legend .at")).to_have_text(second)


def test_every_chart_has_its_table(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "valid" / "report.html")
    figures = page.locator("figure")

    for place in range(figures.count()):
        figure = figures.nth(place)
        figure.locator("summary", has_text="Table").click()
        expect(figure.locator("tbody tr").nth(4)).to_be_visible()


def test_parts_that_are_missing_say_why(tmp_path: Path, browser_page: OpenPage) -> None:
    take(tmp_path / "run", *RAFT, "trace=history")
    (tmp_path / "run" / "result.json").unlink()
    page = browser_page(write_run_report(tmp_path / "run"))
    expect(page.locator(".verdict strong")).to_contain_text("no verdict")
    expect(page.locator("section#nodes .missing")).to_contain_text("trace=history")
    expect(page.locator("section#checks .missing")).to_contain_text("cut off")
    assert page.locator("canvas").count() == 3


def test_an_empty_run_is_a_page_too(tmp_path: Path, browser_page: OpenPage) -> None:
    (tmp_path / "config.yaml").write_text("experiment: nothing\n")
    page = browser_page(write_run_report(tmp_path))
    expect(page.locator("h1")).to_have_text("nothing")
    expect(page.locator("section#load .missing")).to_contain_text("no history")


def test_what_a_run_contains_never_becomes_markup(taken: Path, tmp_path: Path, browser_page: OpenPage) -> None:
    folder = Path(shutil.copytree(taken / "invalid", tmp_path / "run"))
    result = json.loads((folder / "result.json").read_text())
    result["experiment"] = result["command"] = HOSTILE
    result["reasons"] = [HOSTILE, "another"]
    result["notes"] = {HOSTILE: 1}
    result["messages"] = {HOSTILE: 3}
    result["checks"][0] |= {"name": HOSTILE, "reason": HOSTILE, "story": [HOSTILE]}
    result["crashes"] = [{"node": HOSTILE, "time_s": 1.0, "why": HOSTILE, "traceback": HOSTILE}]
    result["ledger"][0]["fault"] = HOSTILE
    (folder / "result.json").write_text(json.dumps(result))
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(f"{config}hostile: {json.dumps(HOSTILE)}\n")

    page = browser_page(write_run_report(folder))

    assert page.locator("h1").inner_text().split() == HOSTILE.split()
    assert page.title().split() == HOSTILE.split()
    assert page.locator("img").count() == 0 and page.locator("script").count() == 3
    page.locator("section#config summary").click()
    for part in ("header .story pre", "section#checks", "section#faults", "section#messages", "section#config"):
        expect(page.locator(part).first).to_contain_text("alert(2)")


def test_long_numbers_have_room_beside_an_axis(taken: Path, tmp_path: Path, browser_page: OpenPage) -> None:
    data = run_data(open_run(taken / "valid"))

    def room(times: int) -> float:
        for group in data["load"]["groups"]:
            group["rate"] = [times * value for value in group["rate"]]
        write_page(tmp_path / "page.html", "page", "run.js", data)
        page = browser_page(tmp_path / "page.html")
        over, plot = (page.locator(f"figure.chart >> nth=0 >> {part}").bounding_box() for part in (".u-over", ".plot"))
        assert over is not None and plot is not None
        return over["x"] - plot["x"]

    usual = room(1)
    assert room(10_000_000) > usual + 20, "for 6,000,000,000 instead of 600"
