"""Whatever the work of a command raises is one line on stderr and exit code 2; a traceback is kept where it is nobody's mistake."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.console.command import Parser
from framework.console.entry import MISTAKE, TRACEBACK, carried_out, keeping_tracebacks
from framework.core.errors import ConfigError, PluginFailed, SynodError, Violation

KEPT = re.compile(r"its traceback is in (?P<file>\S+)\n")


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


def deep(depth: int = 0) -> int:
    return deep(depth + 1)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


UNEXPECTED = [
    (raising(KeyError("x")), "unexpected KeyError: 'x' (tests/console/test_entry.py:"),
    (raising(SystemExit(0)), "unexpected SystemExit: 0 (tests/console/test_entry.py:"),
    (raising(SystemExit("bye")), "unexpected SystemExit: bye (tests/console/test_entry.py:"),
    (raising(MemoryError()), "unexpected MemoryError (tests/console/test_entry.py:"),
    (raising(BaseException("odd")), "unexpected BaseException: odd (tests/console/test_entry.py:"),
    (
        raising(ValueError("two\nlines \ud800")),
        "unexpected ValueError: two lines \\ud800 (tests/console/test_entry.py:",
    ),
    (raising(Unspeakable()), "unexpected Unspeakable: its message cannot be printed (tests/console/test_entry.py:"),
    (raising(BrokenPipeError(32, "Broken pipe")), "unexpected BrokenPipeError: [Errno 32] Broken pipe ("),
    (deep, "unexpected RecursionError: maximum recursion depth exceeded"),
]


@pytest.mark.parametrize(("work", "says"), UNEXPECTED, ids=[says.split(" (")[0] for _, says in UNEXPECTED])
def test_an_unexpected_exception_is_one_line_that_names_the_file_of_its_traceback(
    work: Callable[[], int], says: str, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert carried_out(work) == MISTAKE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(says) and shown.err.count("\n") == 1
    found = KEPT.search(shown.err)
    assert found is not None and Path(found["file"]).parent == scratch
    kept = Path(found["file"]).read_text()
    assert kept.startswith("Traceback (most recent call last):\n")
    assert says.split()[1].rstrip(":") in kept.splitlines()[-1] or "two" in kept


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            ConfigError("nodes=0", "must be at least 1", "Write nodes=1."),
            "nodes=0: must be at least 1. Write nodes=1.\n",
        ),
        (SynodError("time\nstands still"), "time stands still\n"),
        (Violation("one leader", ("n1",), "two"), "one leader broken at n1: two\n"),
        (PluginFailed("workload=mine", "next gave None"), "workload=mine: next gave None\n"),
        (ConfigError("x=" + "1" * 5_000, "is too long"), f"x={'1' * 38}…{'1' * 19}: (5,003 characters) is too long\n"),
    ],
)
def test_a_mistake_is_told_in_its_own_words_and_leaves_no_file(
    error: Exception, line: str, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert carried_out(raising(error)) == MISTAKE
    assert capsys.readouterr().err == line
    assert list(scratch.iterdir()) == []


def test_a_plugin_that_raised_leaves_its_traceback_too(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        try:
            raise KeyError("x")
        except KeyError as error:
            raise PluginFailed("workload=mine", "next raised KeyError: 'x' (mine.py:3)") from error

    assert carried_out(work) == MISTAKE
    told = capsys.readouterr().err
    assert told.startswith("workload=mine: next raised KeyError: 'x' (mine.py:3); its traceback is in ")
    found = KEPT.search(told)
    assert found is not None and 'raise KeyError("x")' in Path(found["file"]).read_text()


def test_ctrl_c_is_told_in_the_commands_words(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert carried_out(raising(KeyboardInterrupt()), "interrupted; the same command goes on") == MISTAKE
    assert capsys.readouterr().err == "interrupted; the same command goes on\n"
    assert list(scratch.iterdir()) == []


def test_help_is_no_failure_and_a_plugins_exit_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser("framework.test", "Tests.")

    def helped() -> int:
        parser.read(["--help"])
        raise AssertionError("--help ends it")

    assert carried_out(helped) == 0
    assert "Tests." in capsys.readouterr().out
    assert carried_out(raising(SystemExit(None))) == MISTAKE


def test_the_traceback_of_a_run_goes_into_its_folder(
    tmp_path: Path, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        with keeping_tracebacks(tmp_path):
            return raising(KeyError("x"))()

    assert carried_out(work) == MISTAKE
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.endswith(f"; its traceback is in {tmp_path / TRACEBACK}\n")
    assert (tmp_path / TRACEBACK).read_text().endswith("KeyError: 'x'\n")
    assert list(scratch.iterdir()) == []


def test_a_mistake_within_a_run_leaves_nothing_in_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        with keeping_tracebacks(tmp_path):
            raise ConfigError("engine", "is odd")

    assert carried_out(work) == MISTAKE
    assert capsys.readouterr().err == "engine: is odd\n"
    assert not (tmp_path / TRACEBACK).exists()


def test_a_folder_that_takes_no_file_is_replaced_by_a_temporary_one(
    tmp_path: Path, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        with keeping_tracebacks(tmp_path / "gone"):
            return raising(KeyError("x"))()

    assert carried_out(work) == MISTAKE
    (kept,) = scratch.iterdir()
    assert f"its traceback is in {kept}\n" in capsys.readouterr().err


def test_where_no_file_can_be_written_the_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    assert carried_out(raising(KeyError("x"))) == MISTAKE
    told = capsys.readouterr().err
    assert told.startswith("unexpected KeyError: 'x' (") and told.count("\n") == 1
    assert "; its traceback cannot be kept (FileNotFoundError: " in told


@pytest.mark.parametrize("stderr", [None, "closed"])
def test_the_exit_code_does_not_depend_on_stderr(stderr: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if stderr == "closed":
        closed = tempfile.TemporaryFile("w")  # noqa: SIM115
        closed.close()
        monkeypatch.setattr(sys, "stderr", closed)
    else:
        monkeypatch.setattr(sys, "stderr", None)
    assert carried_out(raising(KeyError("x"))) == MISTAKE
    assert carried_out(raising(ConfigError("x", "is odd"))) == MISTAKE
    assert carried_out(raising(KeyboardInterrupt())) == MISTAKE
