"""Recorded histories: how lines become calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from framework.checking.history.calls import Call
from framework.checking.history.files import ReadOptions, read_history
from framework.checking.linearizability.checker import check_linearizable
from framework.checking.models.catalog import model_named
from framework.checking.models.containers import Set
from framework.checking.models.model import Model
from framework.checking.models.registers import Register
from framework.core.errors import ConfigError


def read_calls(path: Path, model: Model, **how: Any) -> list[Call]:
    (calls,) = read_history(path, model, ReadOptions(**how)).readings
    return calls


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
    assert (write.client, read.client) == ("a", "b")


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


def test_a_result_beside_the_value_is_the_result(tmp_path: Path) -> None:
    path = edn(
        tmp_path,
        """{:process 0, :type :invoke, :f :add, :value true}
        {:process 0, :type :ok, :f :add, :value true, :synod/result nil}
        {:process 0, :type :invoke, :f :add, :value true}
        {:process 0, :type :ok, :f :add, :value true, :synod/result false}
        {:process 0, :type :invoke, :f :remove, :value 1}
        {:process 0, :type :fail, :f :remove, :value 1, :synod/result false}""",
    )
    calls = read_calls(path, model_named("set"))
    assert [(call.function, call.outcome, call.result) for call in calls] == [
        ("add", "ok", None), ("add", "ok", False), ("remove", "ok", False),
    ]  # fmt: skip
    path = tmp_path / "h.jsonl"
    cas = {"process": 0, "type": "invoke", "f": "cas", "value": [1, 2]}
    path.write_text("\n".join(map(json.dumps, [cas, {**cas, "type": "ok", "synod/result": False}])))
    (call,) = read_calls(path, Register())
    assert (call.argument, call.result) == ((1, 2), False)


def test_independent_values_carry_their_keys(tmp_path: Path) -> None:
    text = """[{:process 0, :type :invoke, :f :read, :value [7 nil]} {:process 0, :type :ok, :f :read, :value [7 1]}
               {:process 0, :type :invoke, :f :cas, :value [8 [1 2]]} {:process 0, :type :info, :f :cas, :value :timeout}]"""
    read, cas = read_calls(edn(tmp_path, text), Register(), independent=True)
    assert (read.key, read.argument, read.result) == (7, None, 1)
    assert (cas.key, cas.argument, cas.outcome) == (8, (1, 2), "unknown")


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
    ("set", [(0, "invoke", "add", 1, 1), (0, "ok", "add", 2, 2)], 2, "add answers true, false or nothing"),
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
        ("{:process 0, :type :begin, :f :read}", ":1: has the :type :begin"),
        ("{:process 0, :type :invoke, :f 3}", ":1: has the :f 3. It is a keyword."),
        ("{:process 0, :type nil, :f :read}", ":1: has the :type null. There are: :fail, :info, :invoke, :ok."),
        ("{:process 0, :type :invok, :f :read}", ":1: has the :type :invok. Did you mean ':invoke'?"),
        ("{:type :invoke, :f :read}", ":1: has no :process. Give each operation a :process, a number or a name."),
        ("{:process 1.5, :type :invoke, :f :read}", ":1: has the :process 1.5. It is a number or a name."),
        ("{:process true, :type :invoke, :f :read}", ":1: has the :process true"),
        ("#:op{:process 0, :type :invoke, :f :read}", ":1: has no :process, but :op/process. Write its keys without"),
        ("{:process 0, :type :invoke, :f :read, :key {:a 1}}", ":1: has the key {:a: 1}. Values are null"),
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
    path.write_bytes(b'{"process": 0, "type": "invoke", "f": "read"}\n{"process": "\xff"}')
    with pytest.raises(ConfigError, match=r"h\.jsonl:2: is not text"):
        read_calls(path, Register())


def test_json_can_be_of_independent_keys_too(tmp_path: Path) -> None:
    path = json_lines(tmp_path, (0, "invoke", "read", [7, None]), (0, "ok", "read", [7, 1]))
    (read,) = read_calls(path, Register(), independent=True)
    assert (read.key, read.argument, read.result) == (7, None, 1)


def test_only_the_nemesis_is_skipped(tmp_path: Path) -> None:
    text = "".join(
        f"{{:process {process}, :type :{kind}, :f :write, :value 1}}"
        for process in (":a", '"a"', "a", "0", ":nemesis", "nemesis")
        for kind in ("invoke", "ok")
    )
    history = read_history(edn(tmp_path, text), Register())
    assert history.skipped == 2
    (calls,) = history.readings
    assert [call.client for call in calls] == [":a", "a", "a", "0", "nemesis"]
    assert len({(call.client, call.process) for call in calls}) == 5

    path = json_lines(tmp_path, ("nemesis", "info", "start"), ("1", "invoke", "write", 1), (1, "invoke", "write", 1))
    history = read_history(path, Register())
    assert history.skipped == 1
    assert len({(call.client, call.process) for call in history.readings[0]}) == 2


ADDED = [(0, kind, "add", value) for value in (1, 2) for kind in ("invoke", "ok")]


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [([1, 2], "valid"), ([2, 1], "valid"), ([1, 2, 1], "invalid"), ([1, 1], "invalid"), ([2], "invalid")],
)
def test_a_set_that_answers_a_value_twice_is_none(tmp_path: Path, seen: list[int], verdict: str) -> None:
    path = json_lines(tmp_path, *ADDED, (1, "invoke", "read", None), (1, "ok", "read", seen))
    assert check_linearizable(read_calls(path, Set()), Set()).verdict == verdict
    # Not by the fast path alone: a set of which something is removed takes the search.
    removed = [(2, "invoke", "add", 3), (2, "ok", "add", None), (2, "invoke", "remove", 3), (2, "ok", "remove", None)]
    path = json_lines(tmp_path, *removed, *ADDED, (1, "invoke", "read", None), (1, "ok", "read", seen))
    assert check_linearizable(read_calls(path, Set()), Set()).verdict == verdict
    text = "".join(
        f"{{:process {process}, :type :{kind}, :f :{function}, :value {str(value).replace('None', 'nil')}}}"
        for process, kind, function, value in [*ADDED, (1, "invoke", "read", None), (1, "ok", "read", seen)]
    )
    assert check_linearizable(read_calls(edn(tmp_path, text), Set()), Set()).verdict == verdict


@pytest.mark.parametrize("notation", ["JSON", "EDN"])
@pytest.mark.parametrize(
    ("times", "complaint"),
    [
        (
            (1, 10, 5, 20),
            ":3: process 0 invokes read at 5 ns, but its write completes at 10 ns, in line 2. A process does",
        ),
        (
            (1, 10, 10, 5),
            ":4: read completes at 5 ns, before its invocation in line 3. Stamp both with the same clock.",
        ),
        ((1, 10, 10, 10), None),
    ],
)
def test_operations_of_a_process_do_not_overlap(
    tmp_path: Path, times: tuple[int, ...], complaint: str | None, notation: str
) -> None:
    kinds = (("invoke", "write"), ("ok", "write"), ("invoke", "read"), ("ok", "read"))
    if notation == "JSON":
        path = json_lines(tmp_path, *((0, *kind, None, time) for kind, time in zip(kinds, times, strict=True)))
    else:
        lines = (
            f"{{:process 0, :type :{kind}, :f :{function}, :time {time}}}\n"
            for (kind, function), time in zip(kinds, times, strict=True)
        )
        path = edn(tmp_path, "".join(lines))
    if complaint is None:
        assert len(read_calls(path, Register())) == 2
        return
    with pytest.raises(ConfigError) as caught:
        read_calls(path, Register())
    assert str(caught.value).startswith(f"{path}{complaint}")


def test_after_an_info_a_process_may_have_begun_earlier(tmp_path: Path) -> None:
    rows = [(0, "invoke", "write", 1, 1), (0, "info", "write", None, 9), (0, "invoke", "read", None, 5)]
    assert len(read_calls(json_lines(tmp_path, *rows, (0, "ok", "read", None, 6)), Register())) == 2


def test_functions_of_other_names_are_known(tmp_path: Path) -> None:
    rows = [(0, "invoke", "put", 1), (0, "ok", "put", None), (0, "invoke", "get", None), (0, "ok", "get", 1)]
    assert [call.function for call in read_calls(json_lines(tmp_path, *rows), Register())] == ["write", "read"]
    add = "{:process 0, :type :invoke, :f :add, :value 1}"
    assert read_calls(edn(tmp_path, add), model_named("counter"))[0].function == "increment"
    assert read_calls(edn(tmp_path, add), Set())[0].function == "add"
    with pytest.raises(ConfigError, match="calls a function that the model 'counter' lacks"):
        read_calls(json_lines(tmp_path, (0, "invoke", "add", 1)), model_named("counter"))


@pytest.mark.parametrize("text", ["(%s)", "[%s]", "%s", "; Knossos\n[%s]\n"])
def test_knossos_files_are_lists_vectors_or_neither(tmp_path: Path, text: str) -> None:
    """data/cas-register/bad/rethink-fail-minimal.edn of Knossos has a list with comments between its operations."""
    operations = """{:type :invoke, :f :write, :value 0, :process 0}
        {:type :ok, :f :write, :value 0, :process 0}
        ; Then a read.
        {:type :invoke, :f :read, :value nil, :process 1}
        {:type :ok, :f :read, :value 0, :process 1}"""
    assert [call.result for call in read_calls(edn(tmp_path, text % operations), Register())] == [None, 0]
