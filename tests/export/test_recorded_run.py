"""What is readable of a run is exported, in order, with a line about what is not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import open_run
from framework.export.__main__ import FORMATS, main
from framework.export.recorded_run import RecordedRun, merged
from framework.trace.recorder import EventWriter
from framework.trace.schema import NameTable
from framework.trace.tail import tail_of
from tests.export.runs import recorded
from tests.export.test_perfetto import by_hand
from tests.trace.rows import Event, record, write_events


@given(st.lists(st.lists(st.lists(st.integers(0, 30), min_size=1), max_size=4), max_size=4))
def test_streams_are_merged_as_if_all_were_sorted(streams: list[list[list[int]]]) -> None:
    seq = iter(range(10_000))
    batches: list[list[pa.RecordBatch]] = []
    for stream in streams:
        times = iter(sorted(time for batch in stream for time in batch))
        batches.append(
            [pa.record_batch({"time": [next(times) for _ in one], "seq": [next(seq) for _ in one]}) for one in stream]
        )
    rows = [row for stream in batches for batch in stream for row in batch.to_pylist()]
    out = [row for batch in merged([iter(stream) for stream in batches]) for row in batch.to_pylist()]
    assert sorted(row["seq"] for row in out) == sorted(row["seq"] for row in rows)
    assert [row["time"] for row in out] == sorted(row["time"] for row in rows)
    if all(len(stream) <= 1 for stream in batches):
        assert out == sorted(rows, key=lambda row: (row["time"], row["seq"]))


def test_a_stream_is_read_only_as_far_as_it_is_due() -> None:
    taken: list[int] = []

    def stream(first: int) -> Iterator[pa.RecordBatch]:
        for time in range(first, first + 40, 10):
            taken.append(time)
            yield pa.record_batch({"time": [time], "seq": [time]})

    out = merged([stream(0), stream(1000)])
    assert [next(out)["time"].to_pylist() for _ in range(3)] == [[0], [10], [20]]
    assert taken == [0, 1000, 10, 20, 30]


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A run whose processes were killed: a file without its end, rows in a tail, and no result."""
    folder = tmp_path / "killed"
    names = NameTable()
    writer = EventWriter(folder / "trace" / "n1.arrow", names, {"messages": "{}"}, tail=True)
    for seq in range(6):
        record(writer, names, Event(seq * 10, seq, message="alive", payload=b"{}"))
        if seq == 2:
            writer.flush()
    writer.write_through()
    (folder / "config.yaml").write_text("trace: {level: full}\n")
    return folder


def test_a_killed_run_is_exported_with_its_tail(
    killed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tail_of(killed / "trace" / "n1.arrow").stat().st_size
    assert main([str(killed), "--format", "parquet", "--output", str(tmp_path / "out")]) == 0
    assert pq.read_table(tmp_path / "out" / "events.parquet")["seq"].to_pylist() == list(range(6))
    told = capsys.readouterr()
    assert told.err == f"{killed}: the run was cut off, or has not ended. What it recorded is exported.\n"
    assert told.out == f"6 events, 0 operations\nexport: {tmp_path / 'out'}\n"


def test_an_interrupted_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = by_hand(tmp_path / "run")
    (folder / "result.json").write_text('{"interrupted": true}')
    assert main([str(folder), "--format", "csv"]) == 0
    assert capsys.readouterr().err == f"{folder}: the run was interrupted. What it recorded is exported.\n"


@pytest.mark.parametrize("form", FORMATS)
def test_of_a_damaged_run_the_rest_is_exported(
    form: str, chaos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(chaos, folder)
    write_events(folder / "trace" / "later.arrow", [Event(9_000_000_000, 1 << 40)])
    for name in ("trace/events.arrow", "history.arrow"):
        content = bytearray((folder / name).read_bytes())
        content[-len(content) // 3] ^= 0xFF
        (folder / name).write_bytes(content)
    assert main([str(folder), "--format", form, "--output", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert all(line.count(str(folder)) == 1 for line in lines)
    events = [line for line in lines if "trace/events.arrow: cannot be read: " in line]
    history = [line for line in lines if "history.arrow: cannot be read: " in line]
    assert len(events) == 1 and events[0].endswith("The events after it are left out.")
    assert len(history) == (form != "shiviz")
    if form == "parquet":
        table = pq.read_table(tmp_path / "out" / "events.parquet")
        whole = open_run(chaos).events["seq"].to_pylist()
        *read, last = table["seq"].to_pylist()
        assert read == whole[: len(read)] and last == 1 << 40


def test_the_level_of_a_run_without_a_config_is_not_known(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "run", {}, [])
    assert RecordedRun(folder).level == "full"
    (folder / "config.yaml").write_text("- 1")
    assert RecordedRun(folder).level == ""
