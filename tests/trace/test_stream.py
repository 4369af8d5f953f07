"""A file that ends early gives its whole batches; a file that was overwritten is refused; a killed writer loses little."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import feather, ipc

from framework.trace.ipc_format import Damaged
from framework.trace.recorder import HistoryWriter
from framework.trace.schema import EVENTS, HISTORY, EventKind
from framework.trace.stream import StreamWriter, read_stream
from tests.trace.rows import Event, write_events

EVENTS_IN_BATCHES = [
    Event(i, i, f"n{i % 4}", EventKind.SEND, f"n{i // 3}", f"echo.M{i}", i - 1 if i else None, i, bytes(range(i)))
    for i in range(8)
]


def two_batches(path: Path) -> bytes:
    write_events(path, EVENTS_IN_BATCHES, {3})
    return path.read_bytes()


def test_a_file_cut_at_any_byte_gives_its_whole_batches(tmp_path: Path) -> None:
    path = tmp_path / "n1.arrow"
    whole = two_batches(path)
    counts = []
    for length in range(len(whole), -1, -1):
        os.truncate(path, length)
        table = read_stream(path, EVENTS)
        rows = [event.row() for event in EVENTS_IN_BATCHES[: table.num_rows]]
        assert table.to_pylist() == rows, f"cut at {length}"
        counts.append(table.num_rows)
    assert sorted(counts, reverse=True) == counts, "more bytes never give fewer rows"
    assert set(counts) == {0, 4, 8}


def test_a_history_cut_anywhere_opens(tmp_path: Path) -> None:
    path = tmp_path / "history.arrow"
    writer = HistoryWriter(path)
    for operation in range(6):
        writer.rows.append((operation, f"c{operation}", 1, "read", "x", None, "1", "ok", 1, 2, 3))
        if operation % 2:
            writer.flush()
    writer.close()
    whole = path.read_bytes()
    counts = set()
    for length in (*range(0, len(whole), 11), len(whole)):
        path.write_bytes(whole[:length])
        counts.add(read_stream(path, HISTORY).num_rows)
    assert counts == {0, 2, 4, 6}


@pytest.mark.parametrize("garbage", [b"\x00", b"\xff", b"garbage!", bytes(64), b"\xff" * 64], ids=len)
def test_garbage_in_a_finished_file_never_changes_what_is_read(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "n1.arrow"
    whole = two_batches(path)
    rows = read_stream(path, EVENTS)
    changed = refused = 0
    for position in range(0, len(whole), 11):
        damaged = whole[:position] + garbage + whole[position + len(garbage) :]
        changed += damaged != whole
        path.write_bytes(damaged)
        try:
            assert read_stream(path, EVENTS).equals(rows), f"garbage at {position} went unseen"
        except Damaged:
            refused += 1
    assert refused > 0.8 * changed, "only the empty batch at the end is sealed by nothing"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"hello", "not an Arrow IPC file"),
        (b"h", "not an Arrow IPC file"),
        (b"ARROW1\0\0" * 9, "garbage at byte 8"),
    ],
)
def test_what_is_no_arrow_file_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "n1.arrow"
    path.write_bytes(content)
    with pytest.raises(Damaged, match=complaint):
        read_stream(path, EVENTS)


def test_a_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n1.arrow"
    with ipc.new_file(str(path), pa.schema([("x", pa.int64())])) as writer:
        writer.write_table(pa.table({"x": [1]}))
    with pytest.raises(Damaged, match="columns"):
        read_stream(path, EVENTS)


def test_a_file_without_seals_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n1.arrow"
    with ipc.new_file(str(path), EVENTS) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist([Event(1, 1).row()], schema=EVENTS))
    with pytest.raises(Damaged, match="no seal"):
        read_stream(path, EVENTS)


def test_what_follows_the_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n1.arrow"
    path.write_bytes(two_batches(path) + b"\x00")
    with pytest.raises(Damaged, match="something follows its end"):
        read_stream(path, EVENTS)


def test_a_finished_file_is_an_arrow_ipc_file_and_any_reader_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "n1.arrow"
    write_events(path, EVENTS_IN_BATCHES, {0, 3, 4, 6}, messages="{}")
    rows = [event.row() for event in EVENTS_IN_BATCHES]
    with ipc.open_file(str(path)) as file:
        assert file.schema.metadata == {b"messages": b"{}"}
        batches = [file.get_batch(number) for number in range(file.num_record_batches)]
        assert [batch.num_rows for batch in batches] == [1, 3, 1, 2, 1, 0]
        assert [row for batch in reversed(batches) for row in reversed(batch.to_pylist())] == rows[::-1]
    assert feather.read_table(path, columns=["seq", "message"]).to_pylist() == [
        {"seq": row["seq"], "message": row["message"]} for row in rows
    ]
    assert feather.read_table(path).to_pylist() == rows == read_stream(path, EVENTS).to_pylist()


def test_an_unfinished_file_is_a_stream_behind_its_magic(tmp_path: Path) -> None:
    path = tmp_path / "history.arrow"
    writer = HistoryWriter(path)
    writer.rows.append((1, "c1", 1, "read", "x", None, "1", "ok", 1, 2, 3))
    writer.flush()
    assert path.read_bytes()[:8] == b"ARROW1\0\0"
    with ipc.open_stream(path.read_bytes()[8:]) as stream:
        assert stream.read_all()["operation"].to_pylist() == [1]
    with pytest.raises(pa.ArrowInvalid):
        ipc.open_file(str(path))


def test_a_file_that_lost_its_very_beginning_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "n1.arrow"
    path.write_bytes(b"ARROW1\0\0\xff")
    StreamWriter(path, EVENTS, resume=True).close()
    assert feather.read_table(path).num_rows == read_stream(path, EVENTS).num_rows == 0


WRITER = """
import sys, time
from pathlib import Path
from framework.trace.recorder import EventWriter, HistoryWriter
from framework.trace.schema import NameTable
from tests.trace.rows import Event, record

folder = Path(sys.argv[1])
names = NameTable()
events, history = EventWriter(folder / "trace" / "n1.arrow", names, {}), HistoryWriter(folder / "history.arrow")
number = 0
while True:
    now = time.time_ns()
    for _ in range(50):
        record(events, names, Event(now, number, "n1", message=f"note-{number % 9}", payload=b'{"term": 3}'))
        history.rows.append((number, "c1", 1, "read", "x", None, "1", "ok", now, now, now))
        number += 1
    events.flush_if_due()
    history.flush_if_due()
"""


def test_a_killed_writer_loses_at_most_its_last_second(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(root)})
    files = {tmp_path / "trace" / "n1.arrow": EVENTS, tmp_path / "history.arrow": HISTORY}
    try:
        deadline = time.monotonic() + 30
        while not all(path.exists() and read_stream(path, schema).num_rows for path, schema in files.items()):
            assert time.monotonic() < deadline and child.poll() is None
            os.sched_yield()
        flushed = {path: read_stream(path, schema).num_rows for path, schema in files.items()}
        killed = time.time_ns()
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    for path, schema in files.items():
        table = read_stream(path, schema)
        assert table.num_rows >= flushed[path]
        assert table.column(0 if schema is HISTORY else 1).to_pylist() == list(range(table.num_rows))
        last = table.column("completed" if schema is HISTORY else "time")[-1].as_py()
        assert killed - last <= 1_000_000_000
