"""Writers of the trace and the history: events packed by the engines, and the operations that clients saw.

Rows wait in plain lists, to which the hot path appends directly; a flush turns them into one columnar batch. Errors of
the file system (disk full, file removed) are raised by `flush`, `flush_if_due` and `close` as OSError.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Protocol, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa

from framework.core.client import Fail, Ok, Outcome, Unknown
from framework.core.errors import Unrecordable
from framework.load.generator import Assignment
from framework.trace.columns import NameColumns, event_batch, integers, texts, unpacked
from framework.trace.schema import EVENTS, HISTORY, OUTCOMES, NameTable, as_json
from framework.trace.stream import StreamWriter
from framework.trace.tail import TailWriter

ROWS_PER_BATCH = 32_768
OPERATIONS_PER_BATCH = 8_192  # waiting as Python objects, ten times the size of a packed row
SECONDS_PER_BATCH = 0.5
PAYLOAD_BYTES_PER_BATCH = 2**31 - 1  # Arrow's binary columns have 32-bit offsets

_OUTCOMES = texts(OUTCOMES)
_OUTCOME_INDEX = {outcome: index for index, outcome in enumerate(OUTCOMES)}
_OUTCOME_NAMES: Mapping[type[Outcome], str] = {Ok: "ok", Fail: "fail", Unknown: "unknown"}


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def copy(self) -> Any: ...
    def hexdigest(self) -> str: ...


class EventWriter:
    """Records events into one file, which is readable up to the last flush whatever happens to the process.

    The engine appends `EVENT_ROW.pack(...)` to `rows`; the payload of each row whose payload length is not negative to
    `payloads`, in the same order; and `OPERATION.pack(seq, operation)` to `operations` if the event has an operation.
    Then it calls `flush_if_due`. The `seq`s of a file increase. `metadata` goes into the file's schema: the key
    `messages` holds JSON `{message name: message_shape}`, without which payloads cannot be decoded. With `tail`,
    `write_through` hands waiting rows to the operating system at any time, at a hundredth of the cost of a flush.
    """

    def __init__(
        self, path: str | os.PathLike[str], names: NameTable, metadata: Mapping[str, str], *, tail: bool = False
    ) -> None:
        self.rows: list[bytes] = []
        self.payloads: list[bytes] = []
        self.operations: list[bytes] = []
        self._names = names
        self._name_columns = NameColumns(names.names)
        self._schema = EVENTS.with_metadata(dict(metadata))
        self._stream = StreamWriter(path, self._schema)
        self._tail = TailWriter(self._stream.path, names.names) if tail else None
        self._written: list[tuple[bytes, bytes, bytes]] = []  # rows, payloads and operations in the tail
        self._written_rows = 0
        self._row_hash: _Hash = hashlib.sha256()
        self._payload_hash: _Hash = hashlib.sha256()
        self._flushed = time.monotonic()

    @property
    def digest(self) -> str:
        """The SHA-256 of all rows so far, their payloads and the name table, in hex. Independent of flushes."""
        rows, payloads = self._row_hash.copy(), self._payload_hash.copy()
        packed, payload, _ = self._waiting()
        rows.update(packed)
        payloads.update(payload)
        parts = [rows.hexdigest(), payloads.hexdigest(), self._names.names]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def write_through(self) -> None:
        """Writes the waiting rows to the tail: once this returns, a kill of the process no longer loses them.

        Raises OSError. Only for a writer with a tail.
        """
        if self.rows:
            assert self._tail is not None
            waiting = b"".join(self.rows), b"".join(self.payloads), b"".join(self.operations)
            self._tail.append(*waiting)
            self._written.append(waiting)
            self._written_rows += len(self.rows)
            self._clear()

    def flush_if_due(self) -> None:
        """Flushes at 32,768 waiting rows, or if rows wait and the last flush was half a second ago."""
        waiting = len(self.rows) + self._written_rows
        if waiting >= ROWS_PER_BATCH or (waiting and time.monotonic() - self._flushed >= SECONDS_PER_BATCH):
            self.flush()

    def flush(self) -> None:
        """Makes a batch of all waiting rows and hands it to the operating system.

        Raises OSError, after which the rows still wait and the file accepts no more. Raises ValueError if `payloads`
        does not match the rows, or the writer is closed.
        """
        self._flushed = time.monotonic()
        packed, payload, operations = self._waiting()
        if not packed:
            return
        rows = unpacked(packed)
        lengths = rows["payload_length"]
        expected = int(lengths.sum(where=lengths >= 0, dtype=np.int64))
        own = lengths[self._written_rows :]
        if np.count_nonzero(own >= 0) != len(self.payloads) or expected != len(payload):
            raise ValueError(f"{self._stream.path}: payloads do not match the rows' payload lengths")
        for batch in self._batches(rows, payload, operations):
            self._stream.write(batch)
        if self._tail is not None:
            self._tail.cut()
        self._row_hash.update(packed)
        self._payload_hash.update(payload)
        self._clear()
        self._written.clear()
        self._written_rows = 0

    def close(self) -> None:
        """Flushes and ends the stream; idempotent. The file is released even if this raises OSError.

        The tail is removed once all rows are in the file.
        """
        if self._stream.closed:
            return
        flushed = False
        try:
            self.flush()
            flushed = True
        finally:
            if self._tail is not None:
                self._tail.close(remove=flushed)
            self._stream.close()

    def _waiting(self) -> tuple[bytes, bytes, bytes]:
        """Returns the rows, payloads and operations that are not in a batch yet."""
        lists = (self.rows, self.payloads, self.operations)
        packed, payload, operations = (
            b"".join([*(written[part] for written in self._written), *lists[part]]) for part in range(3)
        )
        return packed, payload, operations

    def _clear(self) -> None:
        self.rows.clear()
        self.payloads.clear()
        self.operations.clear()

    def _batches(self, rows: np.ndarray[Any, Any], payload: bytes, operations: bytes) -> list[pa.RecordBatch]:
        if len(payload) <= PAYLOAD_BYTES_PER_BATCH or len(rows) == 1:
            return [event_batch(rows, payload, operations, self._name_columns, self._schema)]
        half = len(rows) // 2
        split = int(np.maximum(rows["payload_length"][:half], 0).sum(dtype=np.int64))
        first = self._batches(rows[:half], payload[:split], operations)
        return first + self._batches(rows[half:], payload[split:], operations)


HistoryRow: TypeAlias = tuple[int, str, int, str, str | None, str | None, str | None, str, int, int, int | None]
"""The values of one operation, in the column order of `HISTORY`."""

CUT = b"cut"
"""The metadata key of a consistent cut in a history's batch: JSON, `[time, rows]`. `rows` are the operations under way
at `time` (outcome unknown, never completed); all others invoked by then are in this batch or an earlier one."""


def operation_row(assignment: Assignment, outcome: Outcome, invoked: int, completed: int | None) -> HistoryRow:
    """Returns the row of one operation; `completed` is None if it did not complete before the run ended.

    Raises Unrecordable for a result that has no JSON, or holds a float that is not finite, for which JSON has null.
    """
    operation, argument = assignment.operation, assignment.operation.argument
    return (
        operation.id, assignment.client, assignment.process, operation.function, operation.key,
        "null" if argument is None else as_json(argument).decode(),
        _result_text(outcome.value) if type(outcome) is Ok else None, _OUTCOME_NAMES[type(outcome)],
        assignment.scheduled, invoked, completed,
    )  # fmt: skip


def _result_text(value: object) -> str:
    if value is None:
        return "null"
    text = as_json(value).decode()
    if "null" in text and _has_odd_float(value):
        raise Unrecordable(f"answered {value!r:.80}, which cannot be recorded")
    return text


def _has_odd_float(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_has_odd_float, value))
    return isinstance(value, float) and not isfinite(value)


class HistoryWriter:
    """Records the operations that clients saw into one file; like `EventWriter`, with tuples for rows.

    A row is written when its operation has ended. To allow a verdict on a file whose writer was killed, each batch
    lists the operations under way: `under_way` returns the current time and their rows.
    """

    under_way: Callable[[], tuple[int, list[HistoryRow]]] | None = None

    def __init__(self, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
        self.rows: list[HistoryRow] = []
        self._schema = HISTORY.with_metadata(dict(metadata or {}))
        self._stream = StreamWriter(path, self._schema)
        self._clients, self._functions = NameTable(limit=2**31 - 1), NameTable(limit=2**31 - 1)
        self._hash: _Hash = hashlib.sha256()
        self._flushed = time.monotonic()

    @property
    def digest(self) -> str:
        """The SHA-256 of all operations so far in the order of appending, in hex. Independent of flushes."""
        whole = self._hash.copy()
        whole.update(_canonical(self.rows))
        return str(whole.hexdigest())

    def flush_if_due(self) -> None:
        """Flushes at 8,192 waiting operations, or if any wait and the last flush was half a second ago."""
        waiting = len(self.rows)
        if waiting >= OPERATIONS_PER_BATCH or (waiting and time.monotonic() - self._flushed >= SECONDS_PER_BATCH):
            self.flush()

    def flush(self) -> None:
        """Hands all waiting operations to the operating system.

        Raises like `EventWriter.flush`, and for wrong types.
        """
        self._flushed = time.monotonic()
        if not self.rows:
            return
        cut = {} if self.under_way is None else {CUT: msgspec.json.encode(self.under_way())}
        self._stream.write(self._batch(), cut)
        self._hash.update(_canonical(self.rows))
        self.rows.clear()

    def close(self) -> None:
        """Flushes and ends the stream; idempotent. The file is released even if this raises OSError."""
        if self._stream.closed:
            return
        try:
            self.flush()
        finally:
            self._stream.close()

    def _batch(self) -> pa.RecordBatch:
        try:
            return history_batch(self.rows, self._clients, self._functions, self._schema)
        except ValueError as error:
            raise ValueError(f"{self._stream.path}: {error}") from error


def history_batch(
    rows: Sequence[HistoryRow], clients: NameTable, functions: NameTable, schema: pa.Schema
) -> pa.RecordBatch:
    """Returns a record batch of operations. Adds new names to the tables. Raises ValueError for wrong values."""
    columns: dict[str, Sequence[Any]] = dict(zip(HISTORY.names, zip(*rows, strict=True), strict=True))
    wrong = set(columns["outcome"]) - set(OUTCOMES)
    if wrong:
        raise ValueError(f"no such outcome: {wrong}; there are {', '.join(OUTCOMES)}")
    outcomes = integers([_OUTCOME_INDEX[outcome] for outcome in columns["outcome"]], np.int8)
    encoded = {
        "client": _named(columns["client"], clients),
        "function": _named(columns["function"], functions),
        "outcome": pa.DictionaryArray.from_arrays(outcomes, _OUTCOMES),
    }
    plain = {
        f.name: texts(columns[f.name]) if f.type == pa.string() else integers(columns[f.name])
        for f in HISTORY
        if f.name not in encoded
    }
    arrays = [{**plain, **encoded}[name] for name in HISTORY.names]
    for field, array in zip(HISTORY, arrays, strict=True):
        values = array.dictionary if isinstance(array, pa.DictionaryArray) else array
        if values.null_count and not field.nullable:
            raise ValueError(f"an operation has no {field.name}")
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _named(values: Sequence[str], names: NameTable) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(integers(names.indices(values), np.int32), texts(names.names))


def _canonical(rows: list[tuple[Any, ...]]) -> bytes:
    return b"".join(map(msgspec.msgpack.encode, rows))
