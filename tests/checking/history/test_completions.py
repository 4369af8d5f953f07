"""What the value of an `ok` means: how a history is read whose completions may repeat their arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from framework.checking.history.completions import Meaning
from framework.checking.history.files import ReadOptions, read_history
from framework.checking.linearizability.checker import check_linearizable
from framework.checking.models.catalog import model_named
from framework.checking.verdict import Verdict

VALID, INVALID = Verdict.VALID, Verdict.INVALID


def edn(folder: Path, *rows: tuple[str, Any, Any]) -> Path:
    """Operations one after another: a function, its argument and the value of its `ok`."""
    file = folder / "h.edn"
    file.write_text(
        "".join(
            f"{{:process 0, :type :{kind}, :f :{function}, :value {value}}}\n"
            for function, *values in rows
            for kind, value in zip(("invoke", "ok"), values, strict=True)
        )
    )
    return file


def json_lines(folder: Path, *rows: tuple[str, Any, Any]) -> Path:
    file = folder / "h.jsonl"
    file.write_text(
        "".join(
            json.dumps({"process": 0, "type": kind, "f": function, "value": value}) + "\n"
            for function, *values in rows
            for kind, value in zip(("invoke", "ok"), values, strict=True)
        )
    )
    return file


def verdicts(file: Path, model: str, ok_value: Meaning | None = None) -> list[Verdict]:
    """One for each reading of the file."""
    history = read_history(file, model_named(model), ReadOptions(ok_value=ok_value))
    assert bool(history.ambiguous) == (len(history.readings) > 1)
    return [check_linearizable(calls, model_named(model)).verdict for calls in history.readings]


@pytest.mark.parametrize(
    ("model", "rows", "expected"),
    [
        # Each value equals its argument, and may be either.
        ("counter", [("increment", 1, 1), ("increment", 1, 1)], [VALID, INVALID]),
        ("counter", [("increment", 1, 1), ("read", "nil", 1)], [VALID, VALID]),
        ("counter", [("increment", 1, 1), ("read", "nil", 2)], [INVALID, INVALID]),
        ("counter", [("add", 1, 1), ("add", 2, 2), ("read", "nil", 3)], [VALID, INVALID]),
        ("set", [("add", "true", "true"), ("add", "true", "true")], [VALID, INVALID]),
        ("set", [("add", "true", "true"), ("remove", "true", "true")], [VALID, VALID]),
        ("mutex", [("acquire", "true", "true"), ("release", "false", "false")], [VALID, INVALID]),
        # One that differs is a result, and so are the others then.
        ("counter", [("increment", 1, 1), ("increment", 1, 2)], [VALID]),
        ("counter", [("increment", 1, 1), ("increment", 2, 2), ("increment", 3, 6)], [INVALID]),
        ("counter", [("increment", "nil", 1), ("increment", 1, 1)], [INVALID]),
        ("set", [("add", "true", "true"), ("add", 5, "true"), ("add", 5, "false")], [VALID]),
        ("set", [("add", "true", "true"), ("add", "true", "true"), ("add", 5, "true")], [INVALID]),
        # One that can be no result repeats its argument, and so do the others then.
        ("set", [("add", "true", "true"), ("add", "true", "true"), ("add", 5, 5)], [VALID]),
        ("set", [("add", 1, 1), ("add", 1, 1), ("read", "nil", "#{1}")], [VALID]),
        ("mutex", [("acquire", 7, 7), ("release", 7, 7)], [VALID]),
        # If both are seen, the file does not tell.
        ("set", [("add", 5, 5), ("add", 6, "true"), ("add", "true", "true"), ("add", "true", "true")], [VALID, INVALID]),
        # What other functions mean does not matter.
        ("set", [("add", "true", "true"), ("add", "true", "true"), ("remove", 5, "false")], [VALID, INVALID]),
        # 1 is not true, and not 1.0.
        ("set", [("add", 1, "true"), ("add", 1, "false")], [VALID]),
        # Nothing to doubt: a comparison is answered by true or false, and a write by nothing.
        ("register", [("write", 1, 1), ("cas", "[1 2]", "[1 2]"), ("read", "nil", 2)], [VALID]),
        ("register", [("cas", "[1 2]", "[1 2]")], [INVALID]),
        ("register", [("write", "true", "true"), ("cas", "[true 2]", "true")], [VALID]),
        ("queue", [("enqueue", "true", "true"), ("dequeue", "nil", "true")], [VALID]),
        # Nor here: these always answer.
        ("set", [("add", "true", "nil"), ("contains", "true", "true")], [VALID]),
        ("set", [("contains", "true", "true")], [INVALID]),
        ("consensus", [("propose", 1, 1), ("propose", 2, 2)], [INVALID]),
        ("consensus", [("propose", 1, 1), ("propose", 2, 1)], [VALID]),
    ],
)  # fmt: skip
def test_edn(tmp_path: Path, model: str, rows: list[tuple[str, Any, Any]], expected: list[Verdict]) -> None:
    assert verdicts(edn(tmp_path, *rows), model) == expected


@pytest.mark.parametrize(
    ("ok_value", "expected"), [("argument", [VALID]), ("result", [INVALID]), (None, [VALID, INVALID])]
)
def test_a_flag_says_what_the_file_does_not(tmp_path: Path, ok_value: Meaning, expected: list[Verdict]) -> None:
    assert verdicts(edn(tmp_path, ("increment", 1, 1), ("increment", 1, 1)), "counter", ok_value) == expected


@pytest.mark.parametrize(
    ("model", "rows", "expected"),
    [
        # In JSON a value is the result if it can be one.
        ("counter", [("increment", 1, 1), ("increment", 1, 1)], [INVALID]),
        ("set", [("add", True, True), ("add", True, True)], [INVALID]),
        # If it cannot, it repeats the argument, as in histories that were EDN once.
        ("set", [("add", 1, 1), ("add", 1, 1)], [VALID]),
        ("set", [("add", 5, 5), ("add", True, True), ("add", True, True)], [VALID]),
        ("register", [("write", 1, 1), ("cas", [1, 2], [1, 2]), ("read", None, 2)], [VALID]),
        ("register", [("cas", [1, 2], [1, 2])], [INVALID]),
    ],
)
def test_json(tmp_path: Path, model: str, rows: list[tuple[str, Any, Any]], expected: list[Verdict]) -> None:
    assert verdicts(json_lines(tmp_path, *rows), model) == expected
    if expected == [INVALID] and model != "register":
        assert verdicts(json_lines(tmp_path, *rows), model, "argument") == [VALID]


def test_what_repeats_the_argument_is_no_answer_in_the_story(tmp_path: Path) -> None:
    (calls,) = read_history(edn(tmp_path, ("write", 1, 1), ("write", 2, ":done")), model_named("register")).readings
    assert calls[0].result is None
    assert calls[1].result is not None
