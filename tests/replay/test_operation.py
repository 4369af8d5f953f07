"""`framework.replay --operation`: what happened to one operation, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from framework.config.compose import compose
from framework.core.errors import ConfigError
from framework.replay.__main__ import main as replay
from framework.replay.operation import TracedOperation, find_operation, followed, meanwhile
from framework.run.__main__ import main as run
from framework.runs.folder import write_config
from framework.trace import recorder
from framework.trace.reader import open_run
from tests.replay.local_workers import run_on_workers
from tests.replay.test_replay import REGISTERED

RAFT = ["experiment=raft_3nodes", "engine=sim", "duration=400ms", "clients=2", "workload.think_time=10ms", "--quiet"]


def events(*rows: tuple[Any, ...]) -> pa.Table:
    """A trace of `(seq, time, node, kind, cause, operation)`."""
    names = ("seq", "time", "node", "kind", "cause", "operation")
    types = (pa.int64(), pa.int64(), pa.string(), pa.string(), pa.int64(), pa.int64())
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return pa.table({name: pa.array(column, type) for name, type, column in zip(names, types, columns, strict=True)})


def kept(table: pa.Table, operation: TracedOperation) -> list[int]:
    return [
        seq for seq, keep in zip(table["seq"].to_pylist(), followed(table, operation).to_pylist(), strict=True) if keep
    ]


ONE = TracedOperation(1, 10, 30)


def test_what_came_of_an_operation_belongs_to_it() -> None:
    table = events(
        (0, 9, "n1", "deliver", None, None),  # before it
        (1, 10, "c1", "invoke", None, 1),
        (2, 10, "c1", "send", 1, 1),
        (3, 12, "n1", "deliver", 2, 1),
        (4, 12, "n1", "timer", 3, None),  # at once: a part of the batch
        (5, 12, "n1", "send", 4, None),
        (6, 12, "n1", "commit", 4, None),
        (7, 14, "n2", "drop", 5, None),
        (8, 20, "n1", "timer", 4, None),  # later: not what this operation made it do
        (9, 20, "n1", "send", 8, None),
        (10, 21, "c1", "timer", 1, None),  # the client's own: it tries again
        (11, 21, "c1", "send", 10, 1),
        (12, 22, "n2", "note", None, None),
        (13, 30, "c1", "complete", None, 1),
        (14, 31, "n1", "deliver", 11, 1),  # after it
    )
    assert kept(table, ONE) == [1, 2, 3, 4, 5, 6, 7, 10, 11, 13]


def test_another_operation_is_not_followed_though_the_same_step_answers_both() -> None:
    table = events(
        (1, 10, "c1", "invoke", None, 1),
        (2, 10, "c1", "send", 1, 1),
        (3, 12, "n1", "deliver", 2, 1),
        (4, 12, "n1", "send", 3, 2),  # the answer to operation 2
        (5, 13, "c2", "deliver", 4, 2),
        (6, 13, "c2", "complete", 5, 2),
        (7, 13, "c2", "invoke", 6, 3),
        (8, 30, "c1", "complete", 3, 1),
    )
    assert kept(table, ONE) == [1, 2, 3, 8]


def test_the_chain_of_causes_that_ends_in_the_completion_belongs_to_it() -> None:
    """The answer left because of another operation's message; what that step did at once is shown with it."""
    table = events(
        (0, 5, "c2", "send", None, 2),
        (1, 10, "c1", "invoke", None, 1),
        (2, 11, "n1", "deliver", 0, 2),
        (3, 11, "n1", "commit", 2, None),
        (4, 11, "n1", "send", 2, 1),
        (5, 11, "n1", "send", 2, 2),
        (6, 12, "n2", "deliver", 5, None),
        (7, 20, "c1", "deliver", 4, 1),
        (8, 20, "c1", "complete", 7, 1),
    )
    assert kept(table, ONE) == [1, 2, 3, 4, 7, 8]


def test_crashes_and_faults_meanwhile_belong_to_it_and_one_without_end_goes_on_to_the_end() -> None:
    table = events(
        (0, 5, None, "fault", None, None),
        (1, 10, "c1", "invoke", None, 1),
        (2, 15, None, "fault", None, None),
        (3, 16, "n1", "crash", 2, None),
        (4, 90, "n1", "restart", None, None),
    )
    assert kept(table, TracedOperation(1, 10, None)) == [1, 2, 3, 4]
    assert kept(table, TracedOperation(1, 10, 15)) == [1, 2]
    assert meanwhile(table, TracedOperation(1, 10, 15)).to_pylist() == [False, True, True, False, False]
    assert kept(events(), ONE) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("followed") / "run"
    assert run([*RAFT, f"run.dir={place}"]) == 0
    return place


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def last_ok(folder: Path) -> dict[str, Any]:
    rows = open_run(folder).history.to_pylist()
    ended: dict[str, Any] = max((row for row in rows if row["outcome"] == "ok"), key=lambda row: row["completed"])
    return ended


def test_an_operation_is_shown_from_its_invocation_to_its_completion(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = last_ok(folder)
    number, client = row["operation"], row["client"]
    assert replay([str(folder), "--operation", str(number)]) == 0
    lines = said(capsys)
    steps, (drove, same) = lines[:-2], lines[-2:]

    assert steps[0].split()[2:6] == [client, "invokes", "operation", f"{number},"]
    assert steps[-1].strip().startswith(f"completes operation {number}: ok")
    assert any(f"takes raft.Request(operation={number}," in line for line in steps)
    assert sum("takes raft.AppendEntries(" in line for line in steps) == 2
    assert {found for line in steps for found in re.findall(r"operation[ =](\d+)", line)} == {str(number)}
    assert drove.startswith(f"drove {folder} again to {row['completed'] / 1e9:g} s")
    assert same.startswith("same: ")


def test_with_node_and_steps_it_shows_less_and_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    number = str(last_ok(folder)["operation"])
    replay([str(folder), "--operation", number])
    whole = said(capsys)
    assert replay([str(folder), "--operation", number, "--node", "n2"]) == 0
    one = said(capsys)
    end = next(place for place, line in enumerate(one) if line.startswith("n2 at "))
    assert set(one[:end]) < set(whole) and any(line.startswith("  term = ") for line in one[end:])
    assert replay([str(folder), "--operation", number, "--steps"]) == 0
    every = said(capsys)
    assert len(every) > len(whole) and f"invokes operation {number}," in every[0] + every[1]


def test_one_that_was_under_way_when_its_run_was_killed_is_shown_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recorder, "OPERATIONS_PER_BATCH", 100)  # batches end by counting, not by the clock on the wall
    words = ["clients=50", "workload.think_time=0", "duration=1s", "trace=history", f"run.dir={tmp_path / 'run'}"]
    run([*RAFT, *words])
    whole = {row["operation"]: row for row in open_run(tmp_path / "run").history.to_pylist()}
    file = tmp_path / "run/history.arrow"
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 9 // 10])
    (tmp_path / "run/result.json").unlink()
    said(capsys)
    cut = open_run(tmp_path / "run")
    assert cut.history_cut is not None
    number = next(row["operation"] for row in cut.history.to_pylist() if row["completed"] is None)
    assert replay([str(tmp_path / "run"), "--operation", str(number)]) == 0
    lines = said(capsys)
    assert f"completes operation {number}: {whole[number]['outcome']}" in lines[-3]


def test_one_that_had_not_ended_is_shown_as_far_as_it_came(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = last_ok(folder)
    until = (row["invoked"] + row["completed"]) // 2
    assert replay([str(folder), "--operation", str(row["operation"]), "--until", f"{until}ns"]) == 0
    lines = said(capsys)
    assert f"invokes operation {row['operation']}," in lines[0]
    assert lines[-2].startswith(f"drove {folder} again to ") and not any("completes" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--operation", "9999"], "--operation 9999: is not in this run. Of its "),
        (["--operation", "-1"], "--operation: "),
        (["--operation", "c4"], "--operation: 'c4' is not a whole number"),
        (["--operation", "78", "--until", "1ns"], "--until 1ns: ends before operation 78 was invoked, at "),
    ],
)
def test_a_mistake_is_one_line(folder: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay([str(folder), *words]) == 2
    shown = capsys.readouterr()
    assert len(shown.err.splitlines()) == 1 and says in shown.err


def test_a_run_without_a_history_has_no_operations(tmp_path: Path) -> None:
    run([*RAFT, "trace=none", f"run.dir={tmp_path / 'run'}"])
    with pytest.raises(ConfigError, match="holds no history: its operations are not known"):
        find_operation(open_run(tmp_path / "run"), 1)


def test_a_run_that_recorded_its_history_only_is_driven_again_with_all_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run([*RAFT, "trace=history", f"run.dir={tmp_path / 'run'}"])
    said(capsys)
    number = last_ok(tmp_path / "run")["operation"]
    assert replay([str(tmp_path / "run"), "--operation", str(number)]) == 0
    assert any("takes raft.AppendEntries(" in line for line in said(capsys))


def test_an_operation_of_a_run_on_ray_is_shown_from_the_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("synod_followed_register.py").write_text(REGISTERED)
    words = ["plugins.path=synod_followed_register.py", "protocol=register", "workload=register", "clients=2"]
    composed = compose([*words, "duration=300ms", "workload.think_time=2ms", "run.dir=first"])
    Path("first").mkdir()
    write_config(Path("first"), composed.config)
    experiment = dataclasses.replace(composed.experiment, run_dir=Path("first"))
    run_on_workers(experiment, until=lambda workers: workers[1].tally.ok >= 30)

    number = last_ok(Path("first"))["operation"]
    assert replay(["first", "--operation", str(number)]) == 0
    lines = said(capsys)
    assert f"invokes operation {number}," in lines[0]
    assert any("takes register.Ask(" in line for line in lines)
    end = next(place for place, line in enumerate(lines) if f"completes operation {number}: ok" in line)
    assert any(line.startswith("n1: same (") for line in lines[end:])
