"""The raw tail beside a trace file: the rows that are not in an Arrow batch yet.

An Arrow batch of a few rows costs 400 µs, a `write` of packed rows only a few. So a process that may be killed appends
its rows here before it sends their effects, and truncates the tail after each batch. The kernel keeps what a process
has written: SIGKILL loses no row whose effects were visible to others.

A tail is a sequence of records: CRC-32 of the rest, four lengths in bytes, then the names added to the name table (a
JSON array; all names in the first record after a cut), packed rows (`EVENT_ROW`), their payloads and their operations
(`OPERATION`). A kill in the middle of a write leaves an incomplete last record, whose rows have had no effects.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pyarrow as pa

from framework.trace.columns import NameColumns, event_batch, unpacked
from framework.trace.ipc_format import Damaged
from framework.trace.schema import EVENT_ROW, EVENTS
from framework.trace.stream import StreamReader, StreamWriter

_HEAD = struct.Struct("<IIIII")
_LENGTHS = struct.Struct("<IIII")
_encode_names = msgspec.json.Encoder().encode
_decode_names = msgspec.json.Decoder(list[str]).decode


def tail_of(trace: Path) -> Path:
    """Returns the path of a trace file's tail."""
    return trace.with_suffix(".tail")


class TailWriter:
    """Appends records to the tail of one trace file. Every method may raise OSError."""

    def __init__(self, trace: Path, names: list[str]) -> None:
        self._path = tail_of(trace)
        self._names = names
        self._named = self._size = 0  # the number of names, and of bytes, in the file
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)

    def append(self, rows: bytes, payloads: bytes, operations: bytes) -> None:
        """Writes one record. An OSError leaves the tail as it was."""
        names = _encode_names(self._names[self._named :]) if self._named < len(self._names) else b""
        parts = (names, rows, payloads, operations)
        lengths = (len(names), len(rows), len(payloads), len(operations))
        record = (_HEAD.pack(_checksum(parts, lengths), *lengths), *parts)
        size = _HEAD.size + sum(lengths)
        try:
            written = os.writev(self._file, record)
            if written < size:
                rest = memoryview(b"".join(record))
                while written < size:
                    written += os.write(self._file, rest[written:])
        except OSError:
            os.ftruncate(self._file, self._size)  # otherwise the next record would follow a partial one
            raise
        self._named, self._size = len(self._names), self._size + size

    def cut(self) -> None:
        """Discards all records: their rows are in the trace file."""
        os.ftruncate(self._file, 0)
        self._named = self._size = 0

    def close(self, *, remove: bool) -> None:
        """Releases the file; with `remove`, when all rows are in the trace file, also deletes it."""
        os.close(self._file)
        if remove:
            self._path.unlink(missing_ok=True)


def read_tail(trace: Path) -> bytes:
    """Returns the bytes of a trace file's tail; empty if there is no tail. Raises OSError.

    While the run goes on, read the tail before the file: rows move from the tail to the file, never back.
    """
    try:
        return tail_of(trace).read_bytes()
    except FileNotFoundError:
        return b""


def tail_batch(data: bytes, last_seq: int, schema: pa.Schema) -> pa.RecordBatch | None:
    """Returns the rows of a tail whose `seq` is above `last_seq`, the last one of its file; None if there are none.

    An incomplete record ends the tail. Raises Damaged for a record that does not match its checksum, unless the rest of
    the tail is zeros.
    """
    names: list[str] = []
    parts: list[list[bytes]] = [[], [], []]  # rows, payloads, operations
    at = 0
    while len(data) - at >= _HEAD.size:
        crc, *lengths = _HEAD.unpack_from(data, at)
        start, end = at + _HEAD.size, at + _HEAD.size + sum(lengths)
        if end > len(data):
            break
        body = data[start:end]
        if crc != _checksum((body,), lengths) or lengths[1] % EVENT_ROW.size:
            if data[at:].strip(b"\0"):
                raise Damaged(f"its tail was overwritten (byte {at})")
            break  # a power failure leaves zeros
        names += _decode_names(body[: lengths[0]]) if lengths[0] else []
        cut = lengths[0]
        for part, length in zip(parts, lengths[1:], strict=True):
            part.append(body[cut : cut + length])
            cut += length
        at = end
    rows, payload, operations = (b"".join(part) for part in parts)
    packed = unpacked(rows)
    fresh = packed["seq"] > last_seq
    if not fresh.any():
        return None
    skipped = packed["payload_length"][~fresh]
    payload = payload[int(skipped[skipped > 0].sum()) :]  # rows already in the file come first
    return event_batch(packed[fresh], payload, operations, NameColumns(names), schema)


def complete(trace: Path) -> None:
    """Finishes the trace file of a killed process: writes the rows of its tail as the last batch, and deletes the tail.

    Raises Damaged, leaving both files as they are; OSError.
    """
    tail, written = read_tail(trace), StreamReader(trace, EVENTS)
    if not written.is_complete:
        last = max((batch["seq"][-1].as_py() for batch in written if batch.num_rows), default=-1)
        rest = tail_batch(tail, last, written.schema)
        writer = StreamWriter(trace, written.schema, resume=True)
        if rest is not None:
            writer.write(rest)
        writer.close()
    tail_of(trace).unlink(missing_ok=True)


def _checksum(parts: Iterable[bytes], lengths: Iterable[int]) -> int:
    crc = zlib.crc32(_LENGTHS.pack(*lengths))
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc
