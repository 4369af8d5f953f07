"""What is recorded is what is read, whatever the flushes; the digest sees every change; errors surface."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.core.errors import Unrecordable
from framework.trace import recorder
from framework.trace.recorder import ROWS_PER_BATCH, EventWriter, HistoryWriter
from framework.trace.schema import EVENTS, HISTORY, EventKind, NameTable
from framework.trace.stream import read_stream
from tests.trace.rows import Event, record, write_events

INT64 = st.integers(-(2**63), 2**63 - 1)
NATURAL = st.integers(0, 2**63 - 1)
NAMES = st.one_of(st.none(), st.sampled_from(["n1", "n2", "raft.Vote", "", "é"]), st.text(max_size=5))
EVENT_LISTS = st.lists(
    st.builds(
        Event,
        time=NATURAL,
        seq=NATURAL,
        node=NAMES,
        kind=st.sampled_from(EventKind),
        peer=NAMES,
        message=NAMES,
        cause=st.none() | NATURAL,
        size=st.none() | st.integers(0, 2**31 - 1),
        payload=st.none() | st.binary(max_size=20),
    ),
    max_size=12,
)
FLUSHES = st.sets(st.integers(0, 11))
TEXT = st.none() | st.text(max_size=5)
OPERATIONS = st.lists(
    st.tuples(
        INT64, st.text(max_size=3), INT64, st.text(max_size=3), TEXT, TEXT, TEXT,
        st.sampled_from(["ok", "fail", "unknown"]), INT64, INT64, st.none() | INT64,
    ),
    max_size=12,
)  # fmt: skip
THREE = [
    Event(1, 0, "n1", EventKind.SEND, "n2", "echo.Echo", None, 30, b"ab"),
    Event(2, 1, "n2", EventKind.DELIVER, "n1", "echo.Echo", 0),
    Event(2, 2, "n2", EventKind.NOTE, None, "heard", 1, None, b"{}"),
]


@given(EVENT_LISTS, FLUSHES)
@settings(max_examples=60, deadline=None)
def test_rows_in_are_rows_out(tmp_path_factory: pytest.TempPathFactory, events: list[Event], flushes: set[int]) -> None:
    path = tmp_path_factory.mktemp("trace") / "n1.arrow"
    write_events(path, events, flushes, messages="{}")
    table = read_stream(path, EVENTS)
    assert table.to_pylist() == [event.row() for event in events]
    assert table.schema.metadata == {b"messages": b"{}"}


@given(OPERATIONS, FLUSHES)
@settings(max_examples=60, deadline=None)
def test_operations_in_are_operations_out(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[Any, ...]], flushes: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    writer, whole = HistoryWriter(folder / "history.arrow"), HistoryWriter(folder / "whole.arrow")
    for number, operation in enumerate(operations):
        writer.rows.append(operation)
        whole.rows.append(operation)
        if number in flushes:
            writer.flush()
    writer.close()
    whole.close()
    rows = read_stream(folder / "history.arrow", HISTORY).to_pylist()
    assert rows == [dict(zip(HISTORY.names, operation, strict=True)) for operation in operations]
    assert writer.digest == whole.digest


@given(EVENT_LISTS, FLUSHES, FLUSHES)
@settings(max_examples=40, deadline=None)
def test_the_digest_does_not_depend_on_flushes(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], some: set[int], others: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("trace")
    assert write_events(folder / "a.arrow", events, some) == write_events(folder / "b.arrow", events, others)


def test_the_digest_counts_rows_that_still_wait(tmp_path: Path) -> None:
    names = NameTable()
    writer = EventWriter(tmp_path / "n1.arrow", names, {})
    for event in THREE:
        record(writer, names, event)
    before = writer.digest
    writer.close()
    assert before == writer.digest == write_events(tmp_path / "again.arrow", THREE)


@pytest.mark.parametrize(
    "change",
    [
        {"time": 9}, {"seq": 9}, {"node": "n9"}, {"kind": EventKind.DROP}, {"peer": "n9"}, {"peer": None}, {"message": "x"},
        {"cause": 9}, {"size": 9}, {"payload": None}, {"payload": b"abc"}, {"payload": b"ac"},
    ],
    ids=str,
)  # fmt: skip
def test_the_digest_differs_on_any_change(tmp_path: Path, change: dict[str, Any]) -> None:
    changed = [dataclasses.replace(THREE[0], **change), *THREE[1:]]
    assert write_events(tmp_path / "a.arrow", THREE) != write_events(tmp_path / "b.arrow", changed)


def test_the_digest_differs_when_only_names_or_payload_boundaries_do(tmp_path: Path) -> None:
    renamed = [dataclasses.replace(event, node={"n1": "n3"}.get(str(event.node), event.node)) for event in THREE[:1]]
    moved = [dataclasses.replace(THREE[0], payload=b"a"), dataclasses.replace(THREE[2], payload=b"b{}")]
    digests = [
        write_events(tmp_path / "x.arrow", events)
        for events in (THREE[:1], renamed, [THREE[0], THREE[2]], moved, THREE[1:], THREE[:0:-1])
    ]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("position", range(11))
def test_the_history_digest_differs_on_any_change(tmp_path: Path, position: int) -> None:
    first: tuple[Any, ...] = (1, "c1", 1, "read", "x", "1", "2", "ok", 10, 20, 30)
    other: tuple[Any, ...] = (2, "c2", 2, "write", None, None, None, "unknown", 11, 21, None)
    digests = []
    for operation in (first, (*first[:position], other[position], *first[position + 1 :])):
        writer = HistoryWriter(tmp_path / "history.arrow")
        writer.rows.append(operation)
        writer.close()
        digests.append(writer.digest)
    assert digests[0] != digests[1]


def test_dictionaries_grow_from_batch_to_batch(tmp_path: Path) -> None:
    events = [Event(i, i, f"n{i}", EventKind.NOTE, None, f"note-{i % 7}") for i in range(300)]
    path = tmp_path / "n1.arrow"
    write_events(path, events, set(range(300)))
    table = read_stream(path, EVENTS)
    assert table["node"].num_chunks == 301, "one a flush, and the seal"
    assert table.unify_dictionaries()["node"].chunk(0).dictionary.to_pylist()[:4] == [
        "n0",
        "note-0",
        "n1",
        "note-1",
    ]
    assert table.to_pylist() == [event.row() for event in events]


def test_flush_if_due_waits_for_a_full_batch_or_half_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("framework.trace.recorder.time.monotonic", lambda: now[0])
    names = NameTable()
    writer = EventWriter(tmp_path / "n1.arrow", names, {})
    record(writer, names, THREE[0])
    now[0] += 0.49
    writer.flush_if_due()
    assert len(writer.rows) == 1
    now[0] += 0.01
    writer.flush_if_due()
    assert not writer.rows and not writer.payloads
    for _ in range(ROWS_PER_BATCH):
        record(writer, names, THREE[1])
    writer.flush_if_due()
    assert not writer.rows
    assert read_stream(tmp_path / "n1.arrow", EVENTS).num_rows == ROWS_PER_BATCH + 1, "readable while it is written"
    writer.close()


def test_a_batch_of_payloads_past_arrows_limit_is_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "PAYLOAD_BYTES_PER_BATCH", 10)
    events = [Event(i, i, payload=bytes(i) if i % 3 else None) for i in range(12)]
    write_events(tmp_path / "n1.arrow", events)
    assert read_stream(tmp_path / "n1.arrow", EVENTS).to_pylist() == [event.row() for event in events]


def test_empty_files_open(tmp_path: Path) -> None:
    write_events(tmp_path / "deep" / "er" / "n1.arrow", [])
    HistoryWriter(tmp_path / "new" / "history.arrow").close()
    unflushed = EventWriter(tmp_path / "unflushed.arrow", NameTable(), {})
    assert read_stream(tmp_path / "deep" / "er" / "n1.arrow", EVENTS).num_rows == 0
    assert read_stream(tmp_path / "new" / "history.arrow", HISTORY).num_rows == 0
    assert read_stream(tmp_path / "unflushed.arrow", EVENTS).num_rows == 0
    unflushed.close()


def test_close_is_idempotent_and_final(tmp_path: Path) -> None:
    names = NameTable()
    writer = EventWriter(tmp_path / "n1.arrow", names, {})
    writer.close()
    length = (tmp_path / "n1.arrow").stat().st_size
    writer.close()
    assert (tmp_path / "n1.arrow").stat().st_size == length
    record(writer, names, THREE[0])
    with pytest.raises(ValueError, match="closed"):
        writer.flush()


def test_a_full_disk_is_an_error_at_once_at_every_flush_and_at_close(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.fail("this test needs /dev/full")
    names = NameTable()
    with pytest.raises(OSError, match="No space left"):
        EventWriter("/dev/full", names, {})
    writer = EventWriter(tmp_path / "n1.arrow", names, {})
    writer._stream._sink._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 - the writer closes it
    record(writer, names, THREE[0])
    with pytest.raises(OSError, match="No space left"):
        writer.flush()
    with pytest.raises(OSError, match="broken since an earlier write"):
        writer.flush()
    with pytest.raises(OSError, match="broken since an earlier write"):
        writer.close()
    writer.close()


def test_a_run_folder_that_vanishes_is_an_error(tmp_path: Path) -> None:
    names = NameTable()
    writer = EventWriter(tmp_path / "trace" / "n1.arrow", names, {})
    history = HistoryWriter(tmp_path / "trace" / "history.arrow")
    shutil.rmtree(tmp_path / "trace")
    record(writer, names, THREE[0])
    history.rows.append((1, "c1", 1, "read", None, None, None, "ok", 0, 0, 1))
    for flush in (writer.flush, history.close):
        with pytest.raises(FileNotFoundError, match="removed while the run wrote it"):
            flush()
    with pytest.raises(OSError, match="broken"):
        writer.close()


def test_rows_and_payloads_that_disagree_are_refused(tmp_path: Path) -> None:
    names = NameTable()
    writer = EventWriter(tmp_path / "n1.arrow", names, {})
    record(writer, names, THREE[0])
    writer.payloads.append(b"one too many")
    with pytest.raises(ValueError, match="payloads do not match"):
        writer.flush()


@pytest.mark.parametrize(("position", "wrong"), [(0, "one"), (1, None), (5, 7), (7, "maybe"), (9, None)])
def test_an_operation_of_wrong_types_is_refused_at_the_flush(tmp_path: Path, position: int, wrong: object) -> None:
    operation: list[Any] = [1, "c1", 1, "read", "x", "1", "2", "ok", 10, 20, 30]
    operation[position] = wrong
    writer = HistoryWriter(tmp_path / "history.arrow")
    writer.rows.append(operation)
    with pytest.raises((ValueError, TypeError, pa.ArrowException, Unrecordable)):
        writer.flush()


def test_other_libraries_can_read_the_dictionaries(tmp_path: Path) -> None:
    """They take no deltas, and look at the index under a null as well."""
    path = tmp_path / "n1.arrow"
    write_events(path, [Event(1, 0, "n1"), Event(2, 1, "n2", peer="n1")], {0})
    with pa.ipc.open_stream(pa.OSFile(str(path)).read_buffer()[8:]) as stream:
        batches = [batch for batch in stream if batch.num_rows]
        assert (stream.stats.num_dictionary_deltas, stream.stats.num_replaced_dictionaries) == (0, 3)
    assert [batch["peer"].to_pylist() for batch in batches] == [[None], ["n1"]]
    for batch in batches:
        column = batch["peer"]
        under = memoryview(column.indices.buffers()[1]).cast("i")[: len(column)]
        assert all(0 <= index < len(column.dictionary) for index in under)


@pytest.mark.parametrize("wrong", [True, 1.0, "1", 1 << 63])
def test_a_number_that_a_history_cannot_hold_is_refused_at_the_flush(tmp_path: Path, wrong: object) -> None:
    writer = HistoryWriter(tmp_path / "history.arrow")
    writer.rows.append((wrong, "c1", 1, "read", "x", "1", "2", "ok", 10, 20, 30))  # type: ignore[arg-type]
    with pytest.raises((TypeError, OverflowError)):
        writer.flush()
