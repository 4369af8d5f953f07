"""What the run says while it goes."""

from __future__ import annotations

import re

import pytest

from framework.console.progress import Account, LiveLine, PlainLines, Silent, screen
from framework.core.client import Ok
from framework.core.time import SECOND
from framework.engine.tally import Tally


def tally(ok: int, **counts: int) -> Tally:
    """`ok` operations of 2 ms each."""
    grown = Tally(faults={name: count for name, count in counts.items() if count})
    for _ in range(ok):
        grown.completed(Ok(None), 0, 2_000_000, 0)
    return grown


def test_the_words_tell_time_operations_rate_latency_and_faults() -> None:
    account = Account(10 * SECOND)

    assert account.words(SECOND, tally(500)) == "1.0s/10s  500 ops  500/s  p50 2.00 ms  p99 2.00 ms"
    assert account.words(2 * SECOND, tally(1700, crash=1)).split("  ") == [
        "2.0s/10s", "1,700 ops", "1,200/s", "p50 2.00 ms", "p99 2.00 ms", "1 fault",
    ]  # fmt: skip


def test_whoever_says_that_it_leads_is_named() -> None:
    grown = tally(500, crash=1)
    grown.leaders = ("n1", "n3")

    assert Account(10 * SECOND).words(SECOND, grown).endswith("  leader n1 n3  1 fault")


def test_a_stall_shows_in_the_rate_at_once() -> None:
    account = Account(10 * SECOND)
    words = [account.words(number * SECOND // 2, tally(min(number, 10) * 100)) for number in range(1, 13)]

    assert "  200/s  " in words[8]
    assert "  0.0/s  " in words[11]


def test_before_anything_is_measured_there_is_no_latency() -> None:
    assert Account(SECOND).words(0, Tally()) == "0.0s/1s  0 ops  0.0/s  p50 -  p99 -"


def test_where_columns_are_few_leader_and_faults_stay() -> None:
    grown = tally(500, crash=3)
    grown.leaders = ("n1",)

    def words(room: int) -> str:
        return Account(10 * SECOND).words(SECOND, grown, room)

    whole = "1.0s/10s  500 ops  500/s  p50 2.00 ms  p99 2.00 ms  leader n1  3 faults"
    assert words(len(whole)) == whole
    assert words(len(whole) - 1) == "1.0s/10s  500 ops  500/s  p99 2.00 ms  leader n1  3 faults"
    assert words(57) == "1.0s/10s  500 ops  500/s  leader n1  3 faults"
    assert words(40) == "1.0s/10s  500/s  leader n1  3 faults"
    assert words(30) == "1.0s/10s  leader n1  3 faults"
    assert words(20) == "1.0s/10s  leader n1"
    assert words(0) == "1.0s/10s"


@pytest.mark.parametrize(
    ("columns", "title"), [(80, "raft_5nodes"), (80, "raft_membership (protocol multipaxos)"), (60, "raft_membership")]
)
def test_a_terminal_of_few_columns_shows_them_on_one_line(
    columns: int, title: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    grown = tally(12345, crash=3)
    grown.leaders = ("n1",)
    with LiveLine(title, 10 * SECOND) as live:
        live.show(SECOND, grown)

    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    shown = [line for line in re.split(r"[\r\n]+", drawn) if line.strip()]
    assert all(len(line) <= columns for line in shown)
    assert all("leader n1  3 faults" in line for line in shown) and shown


def test_a_stage_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainLines("hello", SECOND) as lines:
        lines.show(0, Tally(stage="starting Ray"))
        lines.show(0, Tally(stage="starting 4 actors"))
        lines.show(SECOND // 10, tally(3))

    assert capsys.readouterr().err == "hello  starting Ray\nhello  starting 4 actors\n"


def test_a_log_gets_one_line_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("framework.console.progress.time.monotonic", lambda: now[0])
    with PlainLines("hello", 3 * SECOND) as lines:
        for step in range(25):
            now[0] = 100.0 + step / 10
            lines.show(step * SECOND // 10, tally(step))

    said = capsys.readouterr()
    assert said.out == ""
    assert [line.split("  ")[:2] for line in said.err.splitlines()] == [
        ["hello", "1.0s/3s"],
        ["hello", "2.0s/3s"],
    ]


def test_the_live_line_is_drawn_and_leaves_nothing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveLine("hello", SECOND) as live:
        live.show(SECOND // 2, tally(3))
        live.checking()

    assert capsys.readouterr().out == ""


def test_quiet_is_silent_and_a_log_is_no_terminal() -> None:
    assert type(screen("hello", SECOND, quiet=True)) is Silent
    assert type(screen("hello", SECOND, quiet=False)) is PlainLines
