"""`framework.runs` and `framework.report`: what they print, what they write, and their one line for a mistake."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from framework.report.__main__ import main as report
from framework.runs.__main__ import main as runs
from tests.report.folders import HOSTILE, lay_run, lay_sweep

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with four runs, one of which was cut off, and a sweep in `runs`."""
    monkeypatch.chdir(tmp_path)
    lay_run(Path("runs/one"), nodes=5)
    bad = {"verdict": "invalid", "reasons": [f"stale read {HOSTILE}"], "experiment": "raft_chaos", "seed": 8, "started": "2026-03-01T00:00:00Z"}  # fmt: skip
    lay_run(Path("runs/bad"), bad)
    lay_run(Path("runs/unsure"), {"verdict": "unknown", "reasons": ["nothing succeeded"], "experiment": "[red]x[/]"})
    (lay_run(Path("runs/cut")) / "result.json").unlink()
    lay_sweep(Path("runs/swept"), [({"nodes": 3}, 0, {})], {"nodes": "integer"})
    return tmp_path


def lines(captured: Captured) -> list[str]:
    told = captured.readouterr()
    assert told.err == ""
    return told.out.splitlines()


def test_every_run_and_sweep_is_a_line_the_newest_first(capsys: Captured) -> None:
    assert runs([]) == 0
    head, *rows, last = lines(capsys)
    assert (
        " ".join(head.split())
        == "started folder experiment engine seed operations/s p99 verdict reason; not the default"
    )
    assert [row.split()[2] for row in rows] == ["cut", "bad", "one", "unsure", "swept"]
    assert rows[1].startswith(
        "2026-03-01 00:00:00  bad     raft_chaos   sim           8           250  8.00 ms  invalid"
    )
    assert rows[1].endswith(f"stale read {HOSTILE}") and rows[2].endswith("nodes=5")
    assert (
        "  [red]x[/]  " in rows[3]
        and "sim sweep" in rows[4]
        and rows[4].endswith("1 row: 1 valid; varies: nodes, seed")
    )
    assert last == "5 shown"


def test_a_reason_is_cut_where_the_line_ends_and_never_wrapped(capsys: Captured) -> None:
    lay_run(Path("runs/long"), {"verdict": "invalid", "reasons": ["x y" * 200]})
    runs([])
    rows = lines(capsys)[1:-1]
    assert len(rows) == 6 and max(map(len, rows)) <= 160


def test_control_characters_do_not_reach_the_terminal(capsys: Captured) -> None:
    lay_run(Path("runs/a\nb"), {"verdict": "invalid", "reasons": ["\x1b[31mred\x07"], "experiment": "\x1b]0;x"})
    runs(["--verdict", "invalid"])
    told = lines(capsys)
    assert "a�b" in told[2] and "�[31mred�" in told[2] and "�]0;x" in told[2] and len(told) == 4


def test_a_narrow_terminal_lacks_columns(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.runs.__main__._PLAIN_WIDTH", 80)
    runs([])
    head, *rows, _ = lines(capsys)
    assert head.split() == ["folder", "experiment", "seed", "operations/s", "p99", "verdict"]
    assert len(rows) == 5 and max(map(len, rows)) <= 80


@pytest.mark.parametrize(
    ("width", "heads", "lines_of_long"),
    [
        (90, ["folder", "experiment", "operations/s", "p99", "verdict"], 1),
        (70, ["folder", "experiment", "operations/s", "verdict"], 2),
        (50, ["folder", "experiment", "verdict"], 2),
        (36, ["folder", "experiment", "verdict"], 3),
    ],
)
def test_a_very_narrow_terminal_folds_names_and_keeps_verdicts_whole(
    width: int, heads: list[str], lines_of_long: int, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_run(Path("runs/three_phase_commit_once"), {"experiment": "three_phase_commit_partition", "verdict": "invalid"})
    monkeypatch.setattr("framework.runs.__main__._PLAIN_WIDTH", width)
    runs(["--experiment", "three_phase_commit_partition"])
    head, *rows, _ = lines(capsys)
    assert head.split() == heads
    assert len(rows) == lines_of_long and max(map(len, rows)) <= width
    assert rows[0].endswith("invalid")


@pytest.mark.parametrize(
    ("words", "names", "last"),
    [
        (["--verdict", "invalid"], ["bad"], "1 shown, of 5 rows in all"),
        (["--verdict", "none"], ["cut"], "1 shown, of 5 rows in all"),
        (["--experiment", "raft_5nodes"], ["cut", "one"], "2 shown, of 5 rows in all"),
        (["--experiment", "raft_5nodes", "--verdict", "unknown"], [], "0 shown, of 5 rows in all"),
        (["--limit", "2"], ["cut", "bad"], "2 of 5 shown (--limit shows more)"),
        (
            ["runs", "--limit", "1", "--verdict", "valid"],
            ["one"],
            "1 of 2 shown (--limit shows more), of 5 rows in all",
        ),
    ],
)
def test_rows_are_chosen(words: list[str], names: list[str], last: str, capsys: Captured) -> None:
    assert runs(words) == 0
    told = lines(capsys)
    assert [row.split()[2] for row in told[1:-1]] == names and told[-1] == last


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--experiment", "raft_caos"], "runs: holds no run of experiment 'raft_caos'. Did you mean 'raft_chaos'?"),
        (["--verdict", "invald"], "framework.runs: --verdict: unknown value 'invald'. Did you mean 'invalid'? See "),
        (["--limit", "0"], "framework.runs: --limit: '0' is not a whole number above 0. See "),
        (["nowhere"], "nowhere: there are no runs yet. Make a run with "),
        (["empty"], "empty: holds no run and no sweep. Make a run with "),
        (["runs/one/config.yaml"], "runs/one/config.yaml: is no folder. Make a run with "),
    ],
)
def test_a_mistake_is_one_line(words: list[str], line: str, capsys: Captured) -> None:
    Path("empty").mkdir()
    assert runs(words) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith(line) and told.err.count("\n") == 1


def test_the_report_is_of_what_there_is(capsys: Captured) -> None:
    written = {
        "runs/one": "runs/one/report.html",
        "runs/cut": "runs/cut/report.html",
        "runs/swept": "runs/swept/report.html",
        "runs": "runs/index.html",
    }
    for path, file in written.items():
        assert report([path]) == 0
        assert lines(capsys) == [f"report: {file}"] and Path(file).read_bytes().startswith(b"<!DOCTYPE html>")


def test_a_report_is_written_elsewhere(capsys: Captured) -> None:
    for path in (["runs"], ["runs/swept"], ["runs/swept", "runs/swept"]):
        assert report([*path, "--output", "page.html"]) == 0
        assert lines(capsys) == ["report: page.html"]
    shutil.copytree("runs/swept", "again")
    assert report(["runs/swept", "again"]) == 0
    assert lines(capsys) == ["report: again/comparison.html"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["empty"], "empty: holds no run and no sweep. Make a run with "),
        (["nowhere"], "nowhere: no such run folder. "),
        (["runs/swept", "runs/one"], "runs/one: is not a sweep: it has no sweep.json. "),
        (["runs", "--output", "nowhere/x.html"], "nowhere/x.html: cannot be written (No such file or directory). "),
    ],
)
def test_a_report_that_cannot_be_is_one_line(words: list[str], line: str, capsys: Captured) -> None:
    Path("empty").mkdir()
    assert report(words) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith(line) and told.err.count("\n") == 1
