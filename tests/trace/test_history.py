"""The history of a run that was killed: at every batch exactly what clients had seen by then, and never a false verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

import framework.trace.recorder as recorder
from framework.check.__main__ import main as check
from framework.checking.history.calls import calls_from_table
from framework.checking.linearizability.checker import check_linearizable
from framework.checking.models.catalog import model_named
from framework.checking.verdict import Verdict
from framework.core.errors import ConfigError
from framework.run.__main__ import main as run_command
from framework.trace.history import HistoryReader
from framework.trace.reader import open_run
from framework.trace.recorder import HistoryRow, HistoryWriter
from framework.trace.schema import HISTORY
from framework.trace.stream import StreamReader, StreamWriter

CHAOS = ["experiment=raft_chaos", "engine=sim", "duration=4s", "quiet=1s", "workload.keys=1", "trace=history"]


class Whole(NamedTuple):
    """A run under faults whose whole history is valid, and the sizes that its file had after each batch."""

    folder: Path
    sizes: list[int]


@pytest.fixture(scope="module")
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder, sizes = tmp_path_factory.mktemp("whole") / "run", []
    write = StreamWriter.write

    def noted(stream: StreamWriter, *arguments: Any) -> None:
        write(stream, *arguments)
        sizes.append(stream.path.stat().st_size)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recorder, "OPERATIONS_PER_BATCH", 10)
        patched.setattr("framework.engine.sim.simulation.STEPS_PER_BEAT", 64)
        patched.setattr(StreamWriter, "write", noted)
        assert run_command([*CHAOS, f"seed={request.param}", f"run.dir={folder}", "--quiet"]) == 0
    return Whole(folder, sizes)


@pytest.mark.long
@pytest.mark.parametrize("whole", [1, 3], indirect=True)
def test_cut_at_every_batch_a_history_is_what_had_been_seen_by_then(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, path = whole.folder, whole.folder / "history.arrow"
    assert open_run(folder).history_cut is None
    rows = {row["operation"]: row for row in open_run(folder).history.to_pylist()}
    data = path.read_bytes()
    assert len(whole.sizes) > 15
    open_somewhere = 0
    try:
        for size in whole.sizes:
            path.write_bytes(data[:size])
            cut = open_run(folder).history_cut
            assert cut is not None
            seen = {row["operation"]: row for row in open_run(folder).history.to_pylist()}
            ended = {number for number, row in rows.items() if row["completed"] is not None and row["completed"] < cut}
            assert ended <= {number for number, row in seen.items() if row == rows[number]}
            begun = {number for number, row in rows.items() if row["invoked"] < cut}
            assert begun <= set(seen) <= {number for number, row in rows.items() if row["invoked"] <= cut}
            under_way = [row for number, row in seen.items() if row != rows[number]]
            assert {(row["outcome"], row["completed"], row["result"]) for row in under_way} <= {("unknown", None, None)}
            open_somewhere += bool(under_way)
            capsys.readouterr()
            code = check(["linearizability", str(folder)])
            verdict = capsys.readouterr().out.splitlines()[-1]
            assert (code, verdict.split()[1]) == ((0, "valid") if ended else (2, "unknown")), verdict
            assert verdict.endswith(f"; of the first {cut / 1e9:.3f} s, where the history of this run was cut off")
    finally:
        path.write_bytes(data)
    assert open_somewhere > 10


@pytest.mark.parametrize("whole", [1], indirect=True)
def test_without_the_operations_under_way_the_same_files_are_judged_wrong(whole: Whole) -> None:
    """What the cuts are for: a value was read whose write had not ended when the file was cut off."""
    path = whole.folder / "history.arrow"
    data, wrong = path.read_bytes(), 0
    try:
        for size in whole.sizes:
            path.write_bytes(data[:size])
            batches = StreamReader(path, HISTORY)
            calls = calls_from_table(pa.Table.from_batches(batches, HISTORY))
            wrong += check_linearizable(calls, model_named("kv")).verdict is Verdict.INVALID
    finally:
        path.write_bytes(data)
    assert wrong


def row(operation: int, invoked: int, completed: int | None, outcome: str = "ok") -> HistoryRow:
    result = "1" if outcome == "ok" else None
    return (
        operation,
        f"c{operation % 3}",
        operation % 3,
        "read",
        "x",
        "null",
        result,
        outcome,
        invoked,
        invoked,
        completed,
    )


def history(
    path: Path, *batches: tuple[list[HistoryRow], tuple[int, list[HistoryRow]] | None], close: bool = False
) -> None:
    """A file of these batches, each with the cut that is given for it."""
    writer = HistoryWriter(path)
    for rows, cut in batches:
        writer.under_way = None if cut is None else lambda cut=cut: cut
        writer.rows += rows
        writer.flush()
    if close:
        writer.close()


def read(folder: Path) -> list[tuple[Any, ...]]:
    names = ("operation", "outcome", "invoked", "completed")
    return sorted(tuple(each[name] for name in names) for each in open_run(folder).history.to_pylist())


def test_of_several_files_the_earliest_last_cut_counts_for_all(tmp_path: Path) -> None:
    history(tmp_path / "history-5.arrow", ([row(1, 10, 20)], (30, [row(2, 25, None, "unknown")])))
    history(
        tmp_path / "history-6.arrow",
        ([row(3, 5, 15)], (16, [row(4, 12, None, "unknown")])),
        ([row(4, 12, 29), row(5, 29, 31), row(6, 30, 32), row(7, 8, 30, "fail")], (40, [row(8, 33, None, "unknown")])),
    )
    history(tmp_path / "history-7.arrow", ([row(9, 1, 50), row(10, 50, 60)], (70, [])), close=True)
    assert open_run(tmp_path).history_cut == 30
    assert read(tmp_path) == [
        (1, "ok", 10, 20),
        (2, "unknown", 25, None),
        (3, "ok", 5, 15),
        (4, "ok", 12, 29),
        (5, "unknown", 29, None),  # completed later
        (7, "unknown", 8, None),  # failed, but nobody knew that yet
        (9, "unknown", 1, None),  # 6, 8 and 10 were invoked later
    ]


def test_a_file_without_a_batch_says_that_nothing_was_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    HistoryWriter(tmp_path / "history.arrow")
    assert (open_run(tmp_path).history_cut, read(tmp_path)) == (0, [])
    assert check(["linearizability", "--model", "register", str(tmp_path)]) == 2
    assert capsys.readouterr().out.endswith(
        "verdict: unknown — no operation succeeded, nothing to check;"
        " of the first 0.000 s, where the history of this run was cut off\n"
    )


def test_a_file_that_was_cut_off_and_has_no_cuts_is_refused(tmp_path: Path) -> None:
    history(tmp_path / "history.arrow", ([row(1, 10, 20)], None))
    with pytest.raises(ConfigError, match=r"it was cut off, and does not say which operations were under way"):
        _ = open_run(tmp_path).history
    history(tmp_path / "history.arrow", ([row(1, 10, 20)], None), close=True)
    assert read(tmp_path) == [(1, "ok", 10, 20)]


def test_many_operations_under_way_fit_a_batch(tmp_path: Path) -> None:
    under_way = [row(number, 1, None, "unknown") for number in range(1, 20_001)]
    history(tmp_path / "history.arrow", ([row(0, 0, 1)], (2, under_way)))
    (first, rest) = HistoryReader([tmp_path / "history.arrow"])
    assert (first.num_rows, rest.num_rows) == (1, 20_000)
