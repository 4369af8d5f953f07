"""A run in a notebook: what it shows of itself, and its figures."""

from __future__ import annotations

import builtins
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from framework.core.errors import ConfigError
from framework.trace.figures import FIGURES
from framework.trace.reader import Run, open_run
from framework.trace.recorder import HistoryWriter

MS = 1_000_000


@pytest.fixture
def run(tmp_path: Path) -> Run:
    writer = HistoryWriter(tmp_path / "history.arrow")
    for number in range(40):
        function = "read" if number % 2 else "write"
        begun = number * 25 * MS
        outcome, end = ("unknown", None) if number == 20 else ("ok", begun + (number + 1) * MS)
        writer.rows.append((number, "c1", 0, function, "x", "null", None, outcome, begun, begun, end))
    writer.close()
    result = {
        "verdict": "invalid", "reasons": ["<script>alert(1)</script>"], "experiment": "mine", "engine": "sim", "seed": 4,
        "virtual_s": 1.0, "operations": {"ok": 39, "fail": 0, "unknown": 1}, "throughput_ops_s": 39.0,
        "latency_ms": {"p50": 20.0, "p99": None}, "faults": {}, "checks": [{"name": "a & b", "verdict": "invalid"}],
    }  # fmt: skip
    (tmp_path / "result.json").write_text(json.dumps(result))
    return open_run(tmp_path)


def shown(run: Run) -> ElementTree.Element:
    """The HTML is well-formed, so that nothing in it can have become markup."""
    return ElementTree.fromstring(run._repr_html_())


def test_a_run_shows_its_verdict_its_numbers_and_its_main_figures(run: Run) -> None:
    page = shown(run)
    text = "".join(page.itertext())

    assert text.startswith("invalid — <script>alert(1)</script>")
    assert all(
        word in text for word in ("mine · sim · seed 4", "ok 39", "39/s", "a & b invalid", "operations/s", "p99, ms")
    )
    lines = [
        path.attrib["d"] for path in page.iter("{http://www.w3.org/2000/svg}path") if path.attrib["d"].count("M") > 0
    ]
    assert len(lines) == 6, "two figures, each with its axes and the lines of reads and writes"
    assert not list(page.iter("script"))


def test_a_run_without_a_result_or_a_history_says_so(run: Run) -> None:
    (run.folder / "history.arrow").unlink()
    assert not list(shown(open_run(run.folder)).iter("{http://www.w3.org/2000/svg}svg"))
    (run.folder / "result.json").unlink()
    assert "no result" in "".join(shown(open_run(run.folder)).itertext())
    assert repr(run) == f"Run({str(run.folder)!r})"


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_charts_of_all_groups(run: Run, name: str) -> None:
    chart = run.figure(name).to_dict()
    told = {row["operations"] for row in chart["data"]["values"]}
    assert {one.split()[0] for one in told} == {"reads", "writes"}
    assert chart["mark"]["type"] == "line"


def test_a_figure_that_there_is_not_is_one_line(run: Run) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'latency'"):
        run.figure("latncy")
    (run.folder / "history.arrow").unlink()
    with pytest.raises(ConfigError, match="no operations"):
        open_run(run.folder).figure("latency")


def test_without_altair_the_figure_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "altair":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"synod\[studies\]"):
        run.figure("latency")
