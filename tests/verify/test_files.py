"""Recorded histories: how lines become calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from framework.core.errors import ConfigError
from framework.verify.files import read_calls
from framework.verify.history import Call
from framework.verify.models import Register, model_named


def json_lines(folder: Path, *rows: tuple[Any, ...]) -> Path:
    """Each row: process, type, f, value, time?, key?"""
    names = ("process", "type", "f", "value", "time", "key")
    path = folder / "h.jsonl"
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=False))) + "\n" for row in rows))
    return path


def edn(folder: Path, text: str) -> Path:
    path = folder / "h.edn"
    path.write_text(text)
    return path


def test_an_invocation_and_its_completion_are_a_call(tmp_path: Path) -> None:
    path = json_lines(
        tmp_path,
        (0, "invoke", "cas", [1, 2], 10, "x"),
        (1, "invoke", "write", 5, 20, "x"),
        (0, "ok", "cas", False, 30, "x"),
        (1, "fail", "write", None, 40, "x"),
    )
    assert read_calls(path, Register()) == [
        Call(0, "0", 0, "cas", "x", (1, 2), False, "ok", 10, 30),
        Call(1, "1", 1, "write", "x", 5, None, "fail", 20, 40),
    ]


def test_after_an_info_the_process_goes_on_as_a_new_one_and_what_never_completes_is_open(tmp_path: Path) -> None:
    path = json_lines(
        tmp_path, (0, "invoke", "write", 1, 1), (0, "info", "write", None, 2), (0, "invoke", "write", 2, 3)
    )
    first, second = read_calls(path, Register())
    assert (first.outcome, first.completed, first.client) == ("unknown", None, "0")
    assert (second.outcome, second.completed, second.client) == ("unknown", None, "0'")


def test_without_times_the_order_of_the_lines_counts(tmp_path: Path) -> None:
    path = json_lines(tmp_path, ("a", "invoke", "write", 1), ("a", "ok", "write", None), ("b", "invoke", "read", None))
    write, read = read_calls(path, Register())
    assert write.completed is not None and write.completed < read.invoked
    assert (write.process, read.process) == (0, 1)


def test_jepsens_completions_repeat_their_arguments_and_the_nemesis_is_left_out(tmp_path: Path) -> None:
    text = """
        {:process :nemesis, :type :info, :f :start, :value nil}
        {:process 0, :type :invoke, :f :cas, :value [1 2], :time 5}
        {:process 1, :type :invoke, :f :write, :value 3, :time 6}
        {:process 0, :type :ok, :f :cas, :value [1 2], :time 7}
        {:process 1, :type :ok, :f :write, :value 3, :time 8}"""
    cas, write = read_calls(edn(tmp_path, text), Register())
    assert (cas.argument, cas.result) == ((1, 2), True)
    assert (write.argument, write.result) == (3, None)


def test_jepsens_lines_are_in_order_even_where_their_times_are_equal(tmp_path: Path) -> None:
    text = "".join(
        f"{{:process {n}, :type {kind}, :f :read, :value nil, :time 0}}" for n in (0, 1) for kind in (":invoke", ":ok")
    )
    one, other = read_calls(edn(tmp_path, text), Register())
    assert one.completed is not None and one.completed < other.invoked


def test_independent_values_carry_their_keys(tmp_path: Path) -> None:
    text = """[{:process 0, :type :invoke, :f :read, :value [7 nil]} {:process 0, :type :ok, :f :read, :value [7 1]}
               {:process 0, :type :invoke, :f :cas, :value [8 [1 2]]} {:process 0, :type :info, :f :cas, :value :timeout}]"""
    read, cas = read_calls(edn(tmp_path, text), Register(), independent=True)
    assert (read.key, read.argument, read.result) == ("7", None, 1)
    assert (cas.key, cas.argument, cas.outcome) == ("8", (1, 2), "unknown")


WRITE = (0, "invoke", "write", 1, 1)
BAD = [
    ("register", [(0, "ok", "write", 1, 1)], 1, "write of process 0 completes, but was never invoked"),
    (
        "register",
        [WRITE, (0, "invoke", "read", None, 2)],
        2,
        "invokes read, but its write of line 1 is still under way",
    ),
    ("register", [WRITE, (0, "ok", "read", 1, 2)], 2, "completes read, but invoked write in line 1"),
    ("register", [WRITE, (0, "ok", "write", None, 0)], 2, "completes at 0 ns, before its invocation in line 1"),
    ("register", [WRITE, (0, "ok", "write", None)], 2, "has no time"),
    ("register", [(0, "invok", "write", 1, 1)], 1, "Did you mean 'invoke'"),
    ("register", [([0], "invoke", "write", 1, 1)], 1, "process"),
    ("register", [(0, "invoke", "raed", None, 1)], 1, "Did you mean 'read'"),
    ("register", [(0, "invoke", "cas", 3, 1)], 1, "cas takes a pair"),
    ("register", [(0, "invoke", "cas", [1, 2], 1), (0, "ok", "cas", "yes", 2)], 2, "cas answers true or false"),
    ("register", [(0, "invoke", "write", {"a": 1}, 1), (0, "ok", "write", None, 2)], 1, "cannot be compared"),
    ("counter", [(0, "invoke", "increment", "one", 1)], 1, "increment takes an integer"),
    ("counter", [(0, "invoke", "read", None, 1), (0, "ok", "read", "one", 2)], 2, "A counter holds an integer"),
    ("queue", [(0, "invoke", "enqueue", None, 1)], 1, "any value but null"),
    ("consensus", [(0, "invoke", "propose", None, 1)], 1, "Any value but null can be proposed"),
    ("set", [(0, "invoke", "read", None, 1), (0, "ok", "read", 3, 2)], 2, "read answers a list"),
    ("set", [(0, "invoke", "add", 1, 1), (0, "ok", "add", 1, 2)], 2, "add answers true, false or nothing"),
    (
        "mutex",
        [(0, "invoke", "acquire", None, 1), (0, "ok", "acquire", 1, 2)],
        2,
        "acquire answers true, false or nothing",
    ),
]


@pytest.mark.parametrize(("model", "rows", "line", "complaint"), BAD)
def test_a_line_that_makes_no_sense_is_named(
    tmp_path: Path, model: str, rows: list[tuple[Any, ...]], line: int, complaint: str
) -> None:
    path = json_lines(tmp_path, *rows)
    with pytest.raises(ConfigError) as caught:
        read_calls(path, model_named(model))
    assert caught.value.where == f"{path}:{line}"
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{:process 0, :type :invoke, :f :read", ":1: '{' is never closed"),
        ("\n{:process 0, :type :ok, :f :read, :value 1}", ":2: read of process 0 completes, but was never invoked"),
        ("{:process 0, :type :begin, :f :read}", ":1: has the type :begin"),
        ("{:process 0, :type :invoke, :f 3}", ":1: has the function 3"),
        ("{:type :invoke, :f :read}", ":1: has the process None"),
        ("7", ":1: holds 7"),
    ],
)
def test_an_edn_form_that_makes_no_sense_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = edn(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_calls(path, Register())
    assert f"{path}{complaint}" in str(caught.value)


def test_a_file_that_is_cut_off_or_no_text_is_named(tmp_path: Path) -> None:
    path = json_lines(tmp_path, WRITE, (0, "ok", "write", None, 2))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ConfigError, match=r"h.jsonl:2: not JSON .*Is the file cut off\?"):
        read_calls(path, Register())
    path.write_bytes(b'{"process": 0}\n\xff\xfe')
    with pytest.raises(ConfigError, match=r"h\.jsonl:2: is not text"):
        read_calls(path, Register())
