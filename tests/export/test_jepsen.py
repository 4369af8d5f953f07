"""A history in Jepsen's EDN: its lines, and the same calls and the same verdict when framework.check reads it back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import edn_format
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.check.__main__ import main as check
from framework.checking.history.calls import Call, calls_from_table
from framework.checking.history.edn import read_edn
from framework.checking.history.files import ReadOptions, read_history
from framework.checking.history.values import Keyword, plain
from framework.checking.linearizability.bounds import DEFAULT
from framework.checking.linearizability.checker import find
from framework.checking.models.catalog import model_named
from framework.export.jepsen import write_jepsen
from framework.export.recorded_run import RecordedRun
from framework.trace.reader import open_run
from framework.trace.recorder import HistoryRow
from tests.export.runs import exported, recorded, simulated
from tests.trace.rows import Event

LOSSES = ("+faults=loss", "faults.loss.at=100ms", "faults.loss.for=200ms", "faults.loss.probability=0.2", "quiet=300ms")
SHORT = ("duration=700ms", "clients=6", "warmup=0", "workload.timeout=150ms")
WORKLOADS = {
    "kv": ("kv", "experiment=raft_3nodes"),
    "register": ("register", "experiment=abd_5nodes", "workload.keys=2"),
    "queue": ("queue", "experiment=raft_queue"),
    "set": ("set", "experiment=raft_3nodes", "state_machine=set", "workload=set"),
    "counter": ("counter", "experiment=raft_3nodes", "state_machine=counter", "workload=counter"),
}


def lines(path: Path) -> list[dict[str, Any]]:
    """The maps of a history, with plain names for their keywords."""
    forms = [form for _, form in read_edn([path.read_text(encoding="utf-8")], str(path))]
    assert len(forms) == len(path.read_text().splitlines())
    return [{key.name: item for key, item in form.items()} for form in forms]


def row(
    operation: int, process: int, function: str, span: tuple[int, int | None], argument: Any = None, result: Any = None,
    *, outcome: str = "ok", key: str | None = "x",
) -> HistoryRow:  # fmt: skip
    told = json.dumps(result) if outcome == "ok" else None
    invoked, completed = span
    return (
        operation, f"c{process + 1}", process, function, key, json.dumps(argument), told, outcome, invoked, invoked,
        completed,
    )  # fmt: skip


def seen(calls: Sequence[Call]) -> Counter[str]:
    """What clients saw, whatever the numbers of operations; failed calls never happened."""
    return Counter(
        f"{call.process} {call.function} {call.key} {plain(call.argument)!r} {call.outcome} {plain(call.result)!r}"
        for call in calls
        if call.outcome != "fail"
    )


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_run_has_the_same_calls_and_the_same_verdict(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, *words = WORKLOADS[name]
    folder = simulated(tmp_path / "run", *words, *LOSSES, *SHORT)
    file = exported(folder, "jepsen", tmp_path / "history.edn")
    own = calls_from_table(open_run(folder).history)
    has_keys = any(call.key is not None for call in own)
    options = ["--independent"] if has_keys else []
    (read,) = read_history(file, model_named(model), ReadOptions(independent=has_keys)).readings
    assert seen(read) == seen(own)
    assert "unknown" in {call.outcome for call in own} and len(own) > 100
    capsys.readouterr()
    assert check(["linearizability", "--model", model, *options, str(file)]) == 0
    of_file = capsys.readouterr().out
    assert check(["linearizability", "--model", model, str(folder)]) == 0
    assert of_file.splitlines()[-1] == capsys.readouterr().out.splitlines()[-1]


def test_a_stale_read_is_invalid_there_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = [
        row(0, 0, "write", (1, 2), "a"),
        row(1, 0, "write", (3, 4), "b"),
        row(2, 1, "read", (5, 6), None, "a"),
    ]
    file = exported(recorded(tmp_path / "run", {}, history), "jepsen", tmp_path / "history.edn")
    assert check(["linearizability", "--model", "kv", "--independent", str(file)]) == 1
    assert "no order explains its 3 operations" in capsys.readouterr().out


def test_the_lines_are_jepsens(tmp_path: Path) -> None:
    history = [
        row(0, 0, "write", (10, 20), 'a"\n\\é\x01'),
        row(1, 1, "read", (15, 25), None, [1, 2.5, None, {"k": True}]),
        row(2, 0, "cas", (30, 40), [1, 2], False),
        row(3, 1, "cas", (30, 41), [1, 2], True),
        row(4, 0, "write", (50, 60), 1, outcome="fail"),
        row(5, 1, "write", (50, 70), 2, outcome="unknown"),
        row(6, 2, "delete", (55, None), outcome="unknown"),
    ]
    fault = Event(26, 1, None, Event(0, 0).kind.FAULT, message="crash", payload=b'{"node":"n2"}')
    folder = recorded(tmp_path / "run", {"driver": [fault]}, history)
    text = exported(folder, "jepsen", tmp_path / "history.edn").read_text()
    assert (
        text
        == r"""
{:index 0, :type :invoke, :process 0, :f :write, :value ["x" "a\"\n\\é\u0001"], :time 10, :client "c1"}
{:index 1, :type :invoke, :process 1, :f :read, :value ["x" nil], :time 15, :client "c2"}
{:index 2, :type :ok, :process 0, :f :write, :value ["x" "a\"\n\\é\u0001"], :time 20, :client "c1"}
{:index 3, :type :ok, :process 1, :f :read, :value ["x" [1 2.5 nil {"k" true}]], :time 25, :client "c2"}
{:index 4, :type :info, :process :nemesis, :f :crash, :value {"node" "n2"}, :time 26}
{:index 5, :type :invoke, :process 0, :f :cas, :value ["x" [1 2]], :time 30, :client "c1"}
{:index 6, :type :invoke, :process 1, :f :cas, :value ["x" [1 2]], :time 30, :client "c2"}
{:index 7, :type :fail, :process 0, :f :cas, :value ["x" [1 2]], :synod/result false, :time 40, :client "c1"}
{:index 8, :type :ok, :process 1, :f :cas, :value ["x" [1 2]], :time 41, :client "c2"}
{:index 9, :type :invoke, :process 0, :f :write, :value ["x" 1], :time 50, :client "c1"}
{:index 10, :type :invoke, :process 1, :f :write, :value ["x" 2], :time 50, :client "c2"}
{:index 11, :type :invoke, :process 2, :f :delete, :value ["x" nil], :time 55, :client "c3"}
{:index 12, :type :fail, :process 0, :f :write, :value ["x" 1], :time 60, :client "c1"}
{:index 13, :type :info, :process 1, :f :write, :value ["x" 2], :time 70, :client "c2"}
{:index 14, :type :info, :process 2, :f :delete, :value ["x" nil], :time 70, :client "c3"}
"""[1:]
    )


def test_without_keys_there_are_no_tuples_and_transactions_have_keywords(tmp_path: Path) -> None:
    asked, told = [["w", "x", 1], ["r", "y", None]], [["w", "x", 1], ["r", "y", 7]]
    folder = recorded(tmp_path / "run", {}, [row(0, 0, "txn", (1, 2), asked, told, key=None)])
    file = exported(folder, "jepsen", tmp_path / "history.edn")
    first, second = lines(file)
    w, r = Keyword("w"), Keyword("r")
    assert first["value"] == ((w, "x", 1), (r, "y", None)) and second["value"] == ((w, "x", 1), (r, "y", 7))
    assert check(["linearizability", "--model", "multi-register", str(file)]) == 1  # nobody has written 7


def test_at_one_instant_invocations_come_first_where_a_process_allows_it(tmp_path: Path) -> None:
    history = [
        row(0, 0, "write", (0, 10), 1),
        row(1, 1, "write", (0, 10), 2),
        row(2, 0, "write", (10, 10), 3),
        row(3, 3, "write", (5, 10), 4),
        row(4, 2, "write", (10, 20), 5),
        row(5, 0, "write", (10, 20), 6),
    ]
    told = lines(exported(recorded(tmp_path / "run", {}, history), "jepsen", tmp_path / "history.edn"))
    at_10 = [(line["process"], line["type"].name, line["value"][1]) for line in told if line["time"] == 10]
    assert at_10 == [
        (2, "invoke", 5),
        (0, "ok", 1), (0, "invoke", 3), (0, "ok", 3), (0, "invoke", 6),
        (1, "ok", 2), (3, "ok", 4),
    ]  # fmt: skip


VALUES = st.sampled_from([None, 1, 2])
ANSWERS = {
    "kv": {
        "read": (st.none(), VALUES), "write": (VALUES, st.none()), "delete": (st.none(), st.none()),
        "cas": (st.tuples(VALUES, VALUES), st.booleans()),
    },
    "set": {
        "add": (st.sampled_from([True, 1]), st.sampled_from([True, False, None])),
        "remove": (st.sampled_from([True, 1]), st.sampled_from([True, False, None])),
        "contains": (st.sampled_from([True, 1]), st.booleans()),
    },
    "counter": {"increment": (st.sampled_from([1, 2]), st.sampled_from([None, 1, 2, 3])), "read": (st.none(), VALUES)},
    "queue": {"enqueue": (st.sampled_from([1, 2]), st.none()), "dequeue": (st.none(), VALUES)},
    "mutex": {
        "acquire": (st.none(), st.sampled_from([None, True, False])),
        "release": (st.none(), st.sampled_from([None, True, False])),
    },
    "consensus": {"propose": (st.sampled_from([1, 2]), st.sampled_from([1, 2]))},
}  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, list[HistoryRow]]:
    """The operations of three processes on two objects at most, of any results; no two events at one time."""
    model = draw(st.sampled_from(sorted(ANSWERS)))
    rows: list[HistoryRow] = []
    times = iter(draw(st.permutations(range(16))))
    ends = sorted(sorted((next(times), next(times))) for _ in range(draw(st.integers(1, 8))))
    busy = dict.fromkeys(range(8), -1)
    for number, (invoked, completed) in enumerate(ends):
        process = next(process for process, until in busy.items() if until < invoked)
        function = draw(st.sampled_from(sorted(ANSWERS[model])))
        argument, result = (draw(values) for values in ANSWERS[model][function])
        outcome = draw(st.sampled_from(["ok", "ok", "ok", "unknown", "fail"]))
        busy[process] = completed if outcome != "unknown" else 99
        end = None if outcome == "unknown" and draw(st.booleans()) else completed
        key = draw(st.sampled_from(["x", "x", "y"]))
        rows.append(row(number, process, function, (invoked, end), argument, result, outcome=outcome, key=key))
    rows.sort(key=lambda one: 99 if one[-1] is None else one[-1])
    return model, rows


@given(histories())
def test_any_history_is_read_back_with_the_same_calls_and_verdict(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[str, list[HistoryRow]]
) -> None:
    name, history = drawn
    folder = recorded(tmp_path_factory.mktemp("history"), {}, history)
    write_jepsen(RecordedRun(folder), folder / "history.edn")
    model = model_named(name)
    own = calls_from_table(open_run(folder).history)
    (read,) = read_history(folder / "history.edn", model, ReadOptions(independent=True)).readings
    assert seen(read) == seen(own)
    verdicts = [find(calls, model, DEFAULT, lambda operations: {}).result.verdict for calls in (own, read)]
    assert verdicts[0] is verdicts[1]


def as_jepsen(path: Path) -> list[dict[str, Any]]:
    """Reads a history with a reader of EDN of its own; raises AssertionError unless its lines are a history of Jepsen's."""
    operations = []
    for line in path.read_text(encoding="utf-8").splitlines():
        read = edn_format.loads(line, write_ply_tables=False)
        assert all(isinstance(key, edn_format.Keyword) for key in read)
        operations.append({key.name: value for key, value in read.items()})
    assert [operation["index"] for operation in operations] == list(range(len(operations))), "indices are dense"
    times = [operation["time"] for operation in operations]
    assert times == sorted(times) and all(type(time) is int for time in times)
    under_way: dict[int, dict[str, Any]] = {}
    retired: set[int] = set()
    for operation in operations:
        kind, process = operation["type"].name, operation["process"]
        if process == edn_format.Keyword("nemesis"):
            assert kind == "info"
            continue
        assert type(process) is int and process not in retired
        if kind == "invoke":
            assert process not in under_way, "a process does one thing at a time"
            under_way[process] = operation
            continue
        assert kind in ("ok", "fail", "info")
        invoked = under_way.pop(process)
        assert (operation["f"], operation["client"]) == (invoked["f"], invoked["client"])
        if kind == "info":
            retired.add(process)
    assert not under_way, "every invocation has a completion"
    return operations


def test_another_reader_of_edn_reads_a_history_of_jepsens(chaos: Path, tmp_path: Path) -> None:
    file = exported(chaos, "jepsen", tmp_path / "history.edn")
    operations = as_jepsen(file)
    types = Counter(operation["type"].name for operation in operations if type(operation["process"]) is int)
    history = open_run(chaos).history
    assert types["invoke"] == history.num_rows == types["ok"] + types["fail"] + types["info"]
    assert types["ok"] > 100 and types["info"] > 0
    assert {operation["f"].name for operation in operations} >= {"read", "write", "crash"}
    own = [{**line, "type": line["type"].name} for line in lines(file)]
    assert [(line["index"], line["time"], line["type"]) for line in own] == [
        (operation["index"], operation["time"], operation["type"].name) for operation in operations
    ]


@given(histories())
def test_any_history_is_one_of_jepsens(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[str, list[HistoryRow]]
) -> None:
    folder = recorded(tmp_path_factory.mktemp("history"), {}, drawn[1])
    write_jepsen(RecordedRun(folder), folder / "history.edn")
    assert len(as_jepsen(folder / "history.edn")) == 2 * len(drawn[1])
