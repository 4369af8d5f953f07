"""An exception in one line, and the place in its author's own code, whatever was raised and however."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.core.errors import ConfigError, PluginError, PluginFailed, Violation
from framework.core.tracebacks import (
    LONGEST_LINE,
    blaming,
    defined_at,
    error_line,
    one_line,
    place,
    plugin_gave,
    plugin_raised,
    printable,
    shown,
    summed_up,
    utf8,
)

HERE = "tests/core/test_tracebacks.py"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


def broken(argument: Any = None) -> Any:
    return {}["x"]


def parsed(argument: Any = None) -> Any:
    return json.loads("{")


def caught(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("it raises")


def line_of(function: Callable[..., Any]) -> int:
    return function.__code__.co_firstlineno


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (ValueError("half a \ud800"), "ValueError: half a \\ud800"),
        (MemoryError(), "MemoryError"),
        (SystemExit("bye"), "SystemExit: bye"),
        (Unspeakable(), "Unspeakable: its message cannot be printed"),
        (ValueError("[" * 20_000), f"ValueError: {'[' * 40}…{'[' * 20} (20,000 characters)"),
    ],
)
def test_an_error_is_one_line_whatever_its_message(error: BaseException, line: str) -> None:
    assert error_line(error) == line


def test_a_line_has_its_bound_and_keeps_both_ends() -> None:
    line = one_line("first " + "and more " * 1_000 + "last")
    assert len(line) < LONGEST_LINE + 30
    assert line.startswith("first and") and line.endswith("more last (9,010 characters)")


def test_a_path_is_never_shortened() -> None:
    path = "/".join(["folder"] * 100)
    assert one_line(f"{path}: is a file") == f"{path}: is a file"


def test_what_no_encoding_can_hold_is_escaped_and_nothing_else() -> None:
    assert printable("é☃ \ud800 \udcff") == "é☃ \\ud800 \\udcff"
    assert utf8("é\udcff") == "é".encode() + b"\\udcff"


def test_the_place_is_the_last_of_the_owners_even_when_a_library_raised() -> None:
    error = caught(parsed)
    expected = f"{HERE}:{line_of(parsed) + 1}"
    assert place(error, parsed) == expected
    assert place(error) == expected
    assert place(KeyError("never raised")) == ""


@pytest.mark.parametrize("owner", [functools.partial(broken, 1), functools.lru_cache(broken), Unspeakable])
def test_an_owner_may_be_wrapped_or_a_class(owner: Any) -> None:
    assert place(caught(broken), owner) == f"{HERE}:{line_of(broken) + 1}"
    assert defined_at(owner).startswith(f"{HERE}:")


def test_what_has_no_file_is_named_by_its_module() -> None:
    assert defined_at(len) == "builtins"


def test_a_file_that_is_no_python_is_its_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "half.py"
    file.write_text("fine = 1\ndef half(:\n")
    error = caught(lambda: compile(file.read_text(), str(file), "exec"))
    assert place(error) == "half.py:2"


def test_a_file_is_shown_from_the_working_directory_even_if_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    assert shown(tmp_path / "gone" / "mine.py") == "mine.py"
    os.rmdir(tmp_path / "gone")
    assert shown("/elsewhere/mine.py") == "/elsewhere/mine.py"
    assert shown(Path(__file__)) == HERE


def test_a_plugin_is_blamed_by_name_file_and_line() -> None:
    failed = plugin_raised("workload=mine", "next", caught(broken), broken)
    assert str(failed) == f"workload=mine: next raised KeyError: 'x' ({HERE}:{line_of(broken) + 1})"
    gave = plugin_gave("workload=mine", "next", 7, "a text", broken)
    assert str(gave) == f"workload=mine: next returned 7 (int), expected a text ({HERE}:{line_of(broken)})"
    nothing = plugin_gave("workload=mine", "next", None, "a text", broken)
    assert "next returned None, expected a text" in str(nothing)
    unspeakable = plugin_gave("workload=mine", "next", Unspeakable(), "a text", broken)
    assert "next returned a value of type Unspeakable, expected a text" in str(unspeakable)


def test_blame_falls_on_everything_but_what_speaks_for_itself() -> None:
    for error in (
        KeyError("x"),
        SystemExit(0),
        RecursionError(),
        ConfigError("mine", "is odd"),
        Violation("a", (), "b"),
    ):
        with pytest.raises(PluginFailed) as failed, blaming("workload=mine", "next", broken):
            raise error
        assert failed.value.__cause__ is error
    for error in (PluginFailed("mine", "raised"), MemoryError(), KeyboardInterrupt(), ValueError("allowed")):
        with pytest.raises(type(error)) as passed, blaming("workload=mine", "next", broken, ValueError):
            raise error
        assert passed.value is error
    advice = PluginError("make_link", "delay=3 is not a Distribution", "Write build().")
    with pytest.raises(PluginFailed) as failed, blaming("network=mine", "link", broken):
        raise advice
    assert str(failed.value).startswith("network=mine: make_link: delay=3 is not a Distribution (tests/core/test_trac")
    assert str(failed.value).endswith("). Write build().")


def test_a_tracebacks_text_is_summed_up_by_what_and_where_in_the_authors_code() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "/opt/synod/framework/engine/sim/simulation.py", line 97, in _loop\n    host.deliver()\n'
        '  File "/home/ada/votes.py", line 12, in on_vote\n    json.loads(vote)\n'
        '  File "/usr/lib/python3.11/json/decoder.py", line 355, in decode\n    raise JSONDecodeError\n'
        "json.decoder.JSONDecodeError: Expecting value:\n  line 1\ncolumn 1\n"
    )
    told = "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 in on_vote (/home/ada/votes.py:12)"
    assert summed_up(text) == told
    assert summed_up("interrupted") == "interrupted"
