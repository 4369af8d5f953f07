"""What is on the screen when a run has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.checking.verdict import Verdict
from framework.console.summary import print_summary, print_verdict
from framework.faults.ledger import LedgerEntry
from framework.runs.execute import execute
from framework.runs.result import RunResult
from tests.runs.fakes import CONTENT, FakeEngine, checker, counted, ended, plan, raised

STALE = checker(Verdict.INVALID, "c1 read an old value", ("1 ms  c1 wrote [red]2", "2 ms  c1 read 1"), name="stale")


def result_of(run_dir: Path, engine: FakeEngine, *checkers: object) -> RunResult:
    return execute(plan(run_dir, *checkers), engine, lambda now, tally: None)  # type: ignore[arg-type]


def test_a_valid_run_shows_its_numbers_and_no_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tally = counted(2, messages={"pings.Ping": 2100}, dropped={"pings.Pong": 3}, faults={"crash": 2})
    print_summary(result_of(tmp_path / "run", FakeEngine(ended(tally)), CONTENT), "pings")

    shown = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "pings on fake, seed 7" in lines
    assert all(line == line.rstrip() for line in shown.splitlines())
    assert "operations ok 2 fail 0 unknown 0" in lines
    assert "throughput 1.0/s" in lines
    assert "latency p50 1.00 ms p95 2.00 ms p99 2.00 ms max 2.00 ms" in lines
    assert "faults crash 2" in lines
    assert "check valid: two pings explained" in lines
    assert "pings.Ping 2,100 0" in lines
    assert "pings.Pong 0 3" in lines
    assert "framework.run" not in shown


def test_faults_stand_in_a_ledger_with_whom_they_struck_and_what_they_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crashed = LedgerEntry("crash", due=4, fired=3, against={"n1": 2, "n3": 1}, roles={"leader": 3}, emulated=True)
    lost = LedgerEntry(
        "loss", due=1, fired=1, against={"n2": 1}, touched=1200, passed=9000, expected=1000.0, meets="message"
    )
    tally = counted(2, messages={"pings.Ping": 7}, duplicated={"pings.Ping": 2})
    print_summary(result_of(tmp_path / "run", FakeEngine(ended(tally, ledger=(crashed, lost))), CONTENT), "pings")

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "fault due fired touched against roles" in lines
    assert "crash (emulated) 4 3 - n1×2 n3 leader×3" in lines
    assert "loss 1 1 1,200 messages n2" in lines
    assert lines[lines.index("message delivered lost repeated") + 1] == "pings.Ping 7 0 2"


def test_an_invalid_run_tells_its_story_and_how_to_see_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summary(result_of(tmp_path / "run", FakeEngine(), STALE), "pings")

    shown = capsys.readouterr().out
    assert "invalid, see below" in shown
    assert "c1 read an old value" not in shown  # the verdict's line says so
    assert "stale:\n  1 ms  c1 wrote [red]2\n  2 ms  c1 read 1\n" in shown
    assert shown.endswith("to run it again:\n  python -m framework.run experiment=pings seed=7\n\n")


def test_a_crash_shows_when_why_and_the_end_of_its_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summary(result_of(tmp_path / "run", FakeEngine(ended(crashes=(raised(),))), CONTENT), "pings")

    shown = capsys.readouterr().out
    assert "     1.500 s  n2  ZeroDivisionError: division by zero\n" in shown
    assert "n2 at 1.500 s:\n  Traceback (most recent call last):\n" in shown


def test_the_last_two_lines_are_the_verdict_and_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = checker(Verdict.INVALID, "two\nlines")
    print_verdict(result_of(tmp_path / "run", FakeEngine(), broken), Path("runs/mine"))

    assert capsys.readouterr().out == "verdict: invalid — check: two lines\nrun: runs/mine\n"
