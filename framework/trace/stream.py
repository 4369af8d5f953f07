"""Arrow IPC files that survive the death of their writer, and let a reader distinguish a damaged file from a short one.

A file is a stream behind eight bytes of magic, with a footer once its writer has closed it. A batch reaches the
operating system in one piece, so a killed process loses at most the batch under way, and the rest can be read as a
stream. Each batch carries a seal (length and CRC-32 of the file before it), and an empty last batch seals the whole.
Between the stream and its footer are the length and the CRC-32 of the rest of the file. So overwritten data is detected
at reading, while a file that merely ends early yields all its whole batches.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
from pyarrow import ipc

from framework.trace.ipc_format import (
    DICTIONARY,
    END_OF_STREAM,
    MAGIC,
    RECORD_BATCH,
    SCHEMA,
    Damaged,
    IpcMessage,
    footer,
    message_at,
)

_SEAL = b"seal"
_TRAILER = struct.Struct("<II")  # length and CRC-32 of the rest of the file


class _Sink:
    """Collects Arrow's output, writes whole batches to the file at once, and records the positions of messages."""

    closed = False

    def __init__(self, path: Path, layout: _Layout | None = None) -> None:
        self.path = path
        self.length = self.crc = 0
        self.dictionaries: dict[int, IpcMessage] = {}  # by id, the latest of each
        self.batches: list[IpcMessage] = []
        self._waiting: list[bytes] = []
        self._file = open(path, "wb" if layout is None else "ab", buffering=0)  # noqa: SIM115 - open for the run
        if layout is not None:
            self.length, self.crc = layout.end, layout.crc
            self._note(layout.messages)

    def write(self, data: bytes) -> int:
        self._waiting.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Hands everything so far to the operating system. Raises OSError: disk full, or the file was removed."""
        data = b"".join(self._waiting)
        self._waiting.clear()
        messages, _ = _messages(memoryview(data), 0 if self.length else len(MAGIC), self.length)
        if self.length and messages and messages[0].kind == SCHEMA:  # Arrow's second copy
            data = data[messages[0].metadata :]
            messages, _ = _messages(memoryview(data), 0, self.length)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        if os.fstat(self._file.fileno()).st_nlink == 0:
            raise FileNotFoundError(f"trace file was removed while the run wrote it: {self.path}")
        self._note(messages)
        self.length += len(data)
        self.crc = zlib.crc32(data, self.crc)

    def close(self) -> None:
        self._file.close()

    def _note(self, messages: list[IpcMessage]) -> None:
        for message in messages:
            if message.kind == DICTIONARY:
                self.dictionaries[message.dictionary] = message
            elif message.kind == RECORD_BATCH:
                self.batches.append(message)


class StreamWriter:
    """Writes record batches to one file, compressed with zstd. Dictionaries are replaced when they have grown.

    The folder is created. With `resume`, an unfinished file is continued behind its last whole batch. The dictionaries
    of a batch must extend those of earlier batches, as the last dictionary applies to the whole file. After the first
    OSError nothing more is written: a later `write` raises again, and `close` only releases the file.
    """

    def __init__(self, path: str | os.PathLike[str], schema: pa.Schema, *, resume: bool = False) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._schema = schema
        columns = [pa.nulls(0, field.type) for field in schema]
        self._seal = pa.RecordBatch.from_arrays(columns, schema=schema)  # has the dictionaries of the batch before it
        layout = _cut_to_whole_batches(self.path) if resume else None
        for batch in StreamReader(self.path, schema) if resume else ():
            self._seal = batch.slice(0, 0)
        self._sink = _Sink(self.path, layout)
        # One thread: the columns are narrow, and the other processors belong to the run. No dictionary deltas: pyarrow
        # reads them, other libraries do not.
        options = ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        self._writer = ipc.new_stream(pa.PythonFile(self._sink, "w"), schema, options=options)
        self._failed: OSError | None = None
        self.closed = False
        if layout is None:  # even a file without batches has its schema
            self._sink.write(MAGIC + schema.serialize().to_pybytes())
            self._flush()

    def write(self, batch: pa.RecordBatch, metadata: Mapping[bytes, bytes] = MappingProxyType({})) -> None:
        """Writes a batch with its own metadata; once this returns, the operating system has it.

        Raises OSError, and ValueError if closed.
        """
        if self.closed:
            raise ValueError(f"trace file is closed: {self.path}")
        if self._failed is not None:
            why = self._failed.strerror or type(self._failed).__name__
            raise OSError(f"trace file is broken since an earlier write ({why}): {self.path}") from self._failed
        seal = f"{self._sink.length} {self._sink.crc}".encode()
        self._writer.write_batch(batch, custom_metadata={**metadata, _SEAL: seal})
        self._flush()
        self._seal = batch.slice(0, 0)

    def close(self) -> None:
        """Seals the last batch with an empty one, ends the stream and writes the footer; idempotent. Raises OSError."""
        if self.closed:
            return
        try:
            if self._failed is None:
                self.write(self._seal)
                self._writer.close()
                content = footer(self._schema, list(self._sink.dictionaries.values()), self._sink.batches)
                rest = content + struct.pack("<i", len(content)) + MAGIC.rstrip(b"\0")
                self._sink.write(_TRAILER.pack(len(rest), zlib.crc32(rest)) + rest)
                self._flush()
        finally:
            self.closed = True
            self._sink.close()

    def _flush(self) -> None:
        try:
            self._sink.flush()
        except OSError as error:
            self._failed = error
            raise


def read_stream(path: Path, expected: pa.Schema) -> pa.Table:
    """Returns all whole batches of a file, if any. Dictionaries may differ from chunk to chunk.

    Raises Damaged if the file does not have these columns, or was overwritten; OSError.
    """
    stream = StreamReader(path, expected)
    return pa.Table.from_batches(stream, stream.schema)


class StreamReader:
    """Iterates over the whole batches of a file. Only the last batch taken is in memory.

    `is_complete`: whether the writer closed the file. `metadata`: the metadata of the last batch taken. Raises Damaged
    and OSError at once or when a batch is taken.
    """

    def __init__(self, path: Path, expected: pa.Schema) -> None:
        self.schema = expected
        self.is_complete = False
        self.metadata: Mapping[bytes, bytes] = {}
        self._reader: ipc.RecordBatchStreamReader | None = None
        mapped = _mapped(path)
        if mapped is None:
            return
        self._mapped = mapped
        messages, self._end, self.is_complete = _whole_batches(memoryview(mapped))
        if not messages:
            return
        with _overwritten():
            options = ipc.IpcReadOptions(use_threads=False)
            stream = pa.py_buffer(mapped).slice(len(MAGIC), self._end - len(MAGIC))
            self._reader = ipc.open_stream(stream, options=options)
        self.schema = self._reader.schema
        if not self.schema.equals(expected):
            raise Damaged("its columns are not those of a trace")

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._reader is None:
            return
        data = memoryview(self._mapped)
        checked = crc = 0
        while True:
            with _overwritten():
                try:
                    batch, metadata = self._reader.read_next_batch_with_custom_metadata()
                except StopIteration:
                    break
                batch.validate(full=True)
            try:
                length, sealed_crc = (int(number) for number in metadata[_SEAL].split())
            except (TypeError, KeyError, ValueError) as error:
                raise Damaged("a batch has no seal") from error
            crc = zlib.crc32(data[checked:length], crc)
            checked = length
            if crc != sealed_crc:
                raise Damaged(f"its first {length} bytes are not those that were written")
            self._mapped.madvise(mmap.MADV_DONTNEED)  # pages already read need not stay in memory
            self.metadata = dict(metadata)
            yield batch
        if self.is_complete:
            _check_trailer(data, self._end + len(END_OF_STREAM))


class _Layout:
    """The layout of an unfinished file: its whole messages, their end, and the CRC-32 up to there."""

    def __init__(self, messages: list[IpcMessage], end: int, crc: int) -> None:
        self.messages, self.end, self.crc = messages, end, crc


def _cut_to_whole_batches(path: Path) -> _Layout | None:
    """Removes everything behind the last whole batch; None if the file has not even a schema. Raises Damaged."""
    mapped = _mapped(path)
    if mapped is None:
        return None
    with mapped, memoryview(mapped) as data:
        messages, end, is_complete = _whole_batches(data)
        if is_complete:
            raise Damaged("it was closed: nothing can be added to it")
        crc = zlib.crc32(data[:end])
    if not messages:
        return None
    os.truncate(path, end)
    return _Layout(messages, end, crc)


def _mapped(path: Path) -> mmap.mmap | None:
    """Maps the file into memory; None if it is empty."""
    if path.stat().st_size == 0:
        return None
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@contextmanager
def _overwritten() -> Iterator[None]:
    """Converts Arrow's read errors to Damaged."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise Damaged(f"it was overwritten ({str(error).splitlines()[0]})") from error


def _whole_batches(data: memoryview) -> tuple[list[IpcMessage], int, bool]:
    """Returns the messages up to the last whole batch (none: not even a schema), their end, and whether the
    writer closed the file. Raises Damaged."""
    if not MAGIC.startswith(bytes(data[: len(MAGIC)])):
        raise Damaged("it is not an Arrow IPC file")
    if len(data) <= len(MAGIC):
        return [], 0, False
    messages, position = _messages(data, len(MAGIC), 0)
    if bytes(data[position : position + len(END_OF_STREAM)]) == END_OF_STREAM:
        return messages, position, True
    if bytes(data[-6:]) == MAGIC[:6] and len(data) > len(MAGIC) + 6:
        raise Damaged("it was overwritten (a batch is longer than the file)")
    while messages and messages[-1].kind == DICTIONARY:  # a dictionary without its batch does not count
        position = messages.pop().start
    return messages, position, False


def _messages(data: memoryview, position: int, offset: int) -> tuple[list[IpcMessage], int]:
    """Returns the whole messages in `data` from `position` on, and their end. Raises Damaged."""
    messages: list[IpcMessage] = []
    while (message := message_at(data, position, offset)) is not None:
        if not messages and not offset and message.kind != SCHEMA:
            raise Damaged("it does not begin with a schema")
        messages.append(message)
        position = message.end - offset
    return messages, position


def _check_trailer(data: memoryview, start: int) -> None:
    """Raises Damaged if the part after the stream is complete but not as written."""
    rest = data[start + _TRAILER.size :]
    if len(data) < start + _TRAILER.size:
        return
    length, crc = _TRAILER.unpack_from(data, start)
    if len(rest) > length:
        raise Damaged("something follows its end")
    if len(rest) == length and zlib.crc32(rest) != crc:
        raise Damaged("its footer is not the one that was written")
