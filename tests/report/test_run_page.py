"""The page of a run in a real browser: it draws itself without an error, shows its marks, and works by keyboard."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from framework.report.document import write_page
from framework.report.run_report import run_data, write_run_report
from framework.trace.reader import open_run
from tests.report.conftest import OpenPage, is_wider_than_its_window
from tests.report.runs import BLOCKED, BROKEN, PAUSED, RAFT, take

pytestmark = pytest.mark.long

PARTS = ("load", "nodes", "faults", "messages", "checks", "config")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028& "


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    take(folder / "valid", *RAFT)
    take(folder / "invalid", *BROKEN, code=1)
    take(folder / "blocked", *BLOCKED)
    take(folder / "paused", *PAUSED, code=1)
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


def lanes(page: Page, node: str) -> Locator:
    return page.locator(f"figure.timeline svg g.row[data-node={node}] g.lane")


def test_faults_are_shown_on_the_rows_of_the_nodes_that_they_hit(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "valid" / "report.html")

    assert [lanes(page, f"n{number}").count() for number in range(1, 6)] == [2, 1, 3, 2, 1]
    crash = lanes(page, "n4").nth(1)
    expect(crash.locator("text")).to_have_text("crash")
    told = (crash.locator("title").text_content() or "").splitlines()
    assert told[0] == "n4: 1,244.629 ms to 2,000 ms" and told[1].startswith("chaos/crash (n4; ")
    down = page.locator("figure.timeline rect.down").bounding_box()
    box = crash.locator("rect").bounding_box()
    assert box is not None and down is not None and abs(box["x"] - down["x"]) < 2 and box["y"] > down["y"]


def test_a_partition_says_on_which_side_each_node_is(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "valid" / "report.html")

    split = lanes(page, "n2").first
    expect(split.locator("text")).to_have_text(re.compile("^partition"))
    told = "chaos/partition (halves: n1 n2 | n3 n4 n5): on the side of n1 c2"
    expect(split.locator("title")).to_contain_text(told)


def test_a_client_that_a_fault_hits_has_its_row(taken: Path, tmp_path: Path, browser_page: OpenPage) -> None:
    expect(lanes(browser_page(taken / "paused" / "report.html"), "c1").locator("text")).to_have_text(["pause"])
    folder = Path(shutil.copytree(taken / "valid", tmp_path / "run"))
    result = json.loads((folder / "result.json").read_text())
    since = result["ledger"][0]["spans"][0][0]
    result["ledger"][0] |= {"targets": [["c7"], ["c7"]], "spans": [[since, since + 1e-6], [since + 0.5, None]]}
    (folder / "result.json").write_text(json.dumps(result))

    page = browser_page(write_run_report(folder))

    expect(lanes(page, "c7")).to_have_count(3)
    short = lanes(page, "c7").first
    box = short.locator("rect").bounding_box()
    assert box is not None and box["width"] >= 3, "for a microsecond"
    expect(short.locator("text")).to_have_text("clock")
    expect(lanes(page, "c7").last.locator("title")).to_contain_text("to the end")


def test_each_firing_says_whether_it_was_in_force_at_the_failure(
    taken: Path, tmp_path: Path, browser_page: OpenPage
) -> None:
    folder = Path(shutil.copytree(taken / "invalid", tmp_path / "run"))
    result = json.loads((folder / "result.json").read_text())
    spans = [[1.0, 2.0], [2.0, None], [2.1, 2.1], [2.4, 2.5], [2.5, 2.6]]
    result["ledger"] = [{"fault": "pause", "due": 5, "fired": 5, "spans": spans}]
    (folder / "result.json").write_text(json.dumps(result))

    page = browser_page(write_run_report(folder))
    page.locator("section#faults summary").first.click()

    table = page.locator("section#faults details table")
    expect(table.locator("thead th").last).to_have_text("at the failure (agreement, 2,420 ms)")
    expect(table.locator("tbody tr td:last-child")).to_have_text(
        ["ended 420 ms before it", "in force", "fired 320 ms before it", "in force", "began 80 ms after it"]
    )
    valid = browser_page(taken / "valid" / "report.html")
    valid.locator("section#faults summary").first.click()
    expect(valid.locator("section#faults details thead th")).to_have_text(["fault", "from", "to"])


def test_faults_that_overlap_show_their_own_ends(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "valid" / "report.html")
    for figure in ("section#load figure.chart >> nth=0", "section#nodes figure.timeline"):
        extents = page.locator(f"{figure} >> .extent")
        expect(extents).to_have_count(4)
        clock, partition = (extents.nth(place).bounding_box() for place in (0, 1))
        assert clock is not None and partition is not None
        assert clock["x"] < partition["x"] < clock["x"] + clock["width"] < partition["x"] + partition["width"]
        assert partition["y"] - clock["y"] > 10, "each has a line"


def test_the_settings_of_the_protocol_come_first_and_are_linked(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "invalid" / "report.html")
    tables = page.locator("section#config > .scroll table")

    expect(page.locator("nav a").last).to_have_attribute("href", "#protocol")
    expect(page.locator("h3#protocol")).to_be_visible()
    expect(tables.first.locator("tr.differs")).to_have_text("protocol.terminationtimeoutquorum")
    settings = tables.first.locator("tbody th").all_inner_texts()
    assert len(settings) > 3 and all(key.startswith("protocol.") for key in settings)
    others = tables.nth(1).locator("tbody th").all_inner_texts()
    assert others[0] == "faults.schedule.steps" and "protocol.termination" not in others


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


def drag(page: Page, over: Locator, begin: float, end: float) -> None:
    """Drags over parts of the width of an element."""
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + begin * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], box["y"] + 50, steps=5)
    page.mouse.up()


def test_all_that_show_the_time_are_zoomed_together(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "valid" / "report.html")
    roles, last = page.locator("figure.timeline"), page.locator("section#nodes figure.chart")
    shares = page.locator("section#load figure.chart").nth(2).locator("canvas")
    figures = (page.locator("section#load figure.chart").first, roles, last)
    before = shares.evaluate("one => one.toDataURL()")
    whole = page.get_by_role("button", name="show the whole run")
    expect(whole).to_be_hidden()

    drag(page, roles.locator("svg"), 0.1, 0.42)
    for figure in figures:
        expect(figure.locator(".fault")).to_have_text(["clock", "partition", "clock"])
    drag(page, figures[0].locator(".u-over"), 0.05, 0.65)
    for figure in figures:
        expect(figure.locator(".fault")).to_have_text(["clock", "partition"])
    assert shares.evaluate("one => one.toDataURL()") == before, "it has no time"

    roles.locator("svg").dblclick()
    for figure in figures:
        expect(figure.locator(".fault")).to_have_count(4)
    drag(page, last.locator(".u-over"), 0.1, 0.3)
    expect(roles.locator(".fault")).to_have_count(2)
    whole.click()
    for figure in figures:
        expect(figure.locator(".fault")).to_have_count(4)
    expect(whole).to_be_hidden()


@pytest.mark.parametrize("figure", ["figure.timeline", "figure.chart"])
def test_keys_zoom_a_figure(taken: Path, browser_page: OpenPage, figure: str) -> None:
    page = browser_page(taken / "valid" / "report.html")
    begins = page.locator("figure.timeline svg .tick").first

    page.locator(figure).first.focus()
    page.keyboard.press("+")
    expect(begins).to_have_text("800 ms")
    page.keyboard.press("-")
    expect(begins).to_have_text("0 ms")
    page.keyboard.press("+")
    page.keyboard.press("0")
    expect(begins).to_have_text("0 ms")


def test_arrow_keys_move_a_zoomed_timeline(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "valid" / "report.html")
    begins = page.locator("figure.timeline svg .tick").first

    page.locator("figure.timeline").focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    expect(begins).to_have_text("1,200 ms")
    for _ in range(9):
        page.keyboard.press("ArrowLeft")
    expect(begins).to_have_text("0 ms")


def test_a_button_shows_what_was_before_the_failure(taken: Path, browser_page: OpenPage) -> None:
    page = browser_page(taken / "invalid" / "report.html")

    page.get_by_role("button", name="zoom to the failure").click()

    for figure in page.locator("section#nodes figure").all():
        expect(figure.locator(".failure").last).to_contain_text("agreement, 2,420 ms")
    expect(page.locator("figure.timeline svg .tick").first).to_have_text("2,200 ms")
    valid = browser_page(taken / "valid" / "report.html")
    expect(valid.get_by_role("button", name="zoom to the failure")).to_have_count(0)
    expect(valid.locator("section#load .hint")).to_contain_text("Drag over a chart")


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
