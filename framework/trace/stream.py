"""Arrow IPC streams that outlive the death of their writer, and know a damaged file from a short one.

A batch reaches the operating system in one piece, so a killed process costs at most the batch under way. Each batch
carries a seal (length and CRC-32 of the file before it), and an empty last batch seals the whole: what was overwritten
is found at reading, while a file that just ends early gives every batch that is whole.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import ipc

_SEAL = b"seal"
_SCHEMA, _RECORD_BATCH = 1, 3  # Message.fbs: MessageHeader
_LONGEST_METADATA = 1 << 16  # of a batch; a longer one is garbage where a length should stand
_CONTINUATION = b"\xff\xff\xff\xff"
_END = _CONTINUATION + bytes(4)


class Damaged(ValueError):
    """A file that is no stream of ours, or was one and was overwritten; the message says what is wrong with it."""


class _Sink:
    """Collects what Arrow writes, and hands a whole batch to the file at once."""

    closed = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.length = 0
        self.crc = 0
        self._waiting: list[bytes] = []
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - lives as long as the run

    def write(self, data: bytes) -> int:
        self._waiting.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Everything so far goes to the operating system. Raises OSError: disk full, or the file was removed."""
        data = b"".join(self._waiting)
        self._waiting.clear()
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        if os.fstat(self._file.fileno()).st_nlink == 0:
            raise FileNotFoundError(f"trace file was removed while the run wrote it: {self.path}")
        self.length += len(data)
        self.crc = zlib.crc32(data, self.crc)

    def close(self) -> None:
        self._file.close()


class StreamWriter:
    """Writes record batches to one file; zstd, and dictionaries that are replaced when they have grown.

    The folder is created. After the first OSError nothing more is written: a later `write` raises again, `close`
    only releases the file.
    """

    def __init__(self, path: str | os.PathLike[str], schema: pa.Schema) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._seal = pa.RecordBatch.from_pylist([], schema=schema)
        self._sink = _Sink(self.path)
        # One thread: the columns are narrow, and the other processors belong to the run. No deltas of dictionaries:
        # pyarrow reads them, other libraries do not.
        options = ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        self._writer = ipc.new_stream(pa.PythonFile(self._sink, "w"), schema, options=options)
        self._failed: OSError | None = None
        self.closed = False

    def write(self, batch: pa.RecordBatch) -> None:
        """The batch is with the operating system when this returns. Raises OSError, ValueError when closed."""
        if self.closed:
            raise ValueError(f"trace file is closed: {self.path}")
        if self._failed is not None:
            why = self._failed.strerror or type(self._failed).__name__
            raise OSError(f"trace file is broken since an earlier write ({why}): {self.path}") from self._failed
        seal = f"{self._sink.length} {self._sink.crc}"
        self._writer.write_batch(batch, custom_metadata={_SEAL: seal})
        self._flush()
        self._seal = batch.slice(0, 0)  # keeps the dictionaries, which a fresh one would replace

    def close(self) -> None:
        """Seals the last batch with an empty one and ends the stream; idempotent. Raises OSError."""
        if self.closed:
            return
        try:
            if self._failed is None:
                self.write(self._seal)
                self._writer.close()
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
    """All whole batches of a file; none when it ends before the first. Dictionaries may differ from chunk to chunk.

    Raises Damaged when the file is not a stream of these columns, or was overwritten; OSError.
    """
    schema, batches = open_stream(path, expected)
    return pa.Table.from_batches(batches, schema)


def open_stream(path: Path, expected: pa.Schema) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """As `read_stream`, batch by batch: only the one that was taken last is in memory.

    Raises Damaged and OSError at once or when a batch is taken.
    """
    if path.stat().st_size == 0:
        return expected, iter(())
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    end = _whole_batches(memoryview(mapped))
    if end == 0:
        return expected, iter(())
    with _overwritten():
        options = ipc.IpcReadOptions(use_threads=False)
        reader = ipc.open_stream(pa.py_buffer(mapped).slice(0, end), options=options)
    if not reader.schema.equals(expected):
        raise Damaged("its columns are not those of a trace")
    return reader.schema, _sealed_batches(reader, mapped)


def _sealed_batches(reader: ipc.RecordBatchStreamReader, mapped: mmap.mmap) -> Iterator[pa.RecordBatch]:
    data = memoryview(mapped)
    checked = crc = 0
    while True:
        with _overwritten():
            try:
                batch, metadata = reader.read_next_batch_with_custom_metadata()
            except StopIteration:
                return
            batch.validate(full=True)
        try:
            length, sealed_crc = (int(number) for number in metadata[_SEAL].split())
        except (TypeError, KeyError, ValueError) as error:
            raise Damaged("a batch has no seal") from error
        crc = zlib.crc32(data[checked:length], crc)
        checked = length
        if crc != sealed_crc:
            raise Damaged(f"its first {length} bytes are not those that were written")
        mapped.madvise(mmap.MADV_DONTNEED)  # what was read need not stay in memory
        yield batch


@contextmanager
def _overwritten() -> Iterator[None]:
    """What Arrow cannot read was overwritten."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise Damaged(f"it was overwritten ({str(error).splitlines()[0]})") from error


def _whole_batches(data: memoryview) -> int:
    """The length of the file's part that holds whole batches only (0: not even a schema). Raises Damaged."""
    end = position = 0
    while (found := _message(data, position)) is not None:
        kind, position = found
        if kind in (_SCHEMA, _RECORD_BATCH):  # a dictionary without its batch does not count
            end = position
    rest = bytes(data[position : position + len(_END) + 1])
    if rest == _END or not rest:
        return end
    if rest.startswith(_END):
        raise Damaged("something follows the end of its stream")
    if bytes(data[-len(_END) :]) == _END:
        raise Damaged("it was overwritten (a batch is longer than the file)")
    return end


def _message(data: memoryview, position: int) -> tuple[int, int] | None:
    """The kind of the message at a position and where the next one stands; None if the file ends before that.

    Layout: Arrow's encapsulated message (continuation, length, flatbuffer, body); the flatbuffer's fields 1 and 3
    are the kind of the message and the length of its body (Message.fbs).
    """
    if not _CONTINUATION.startswith(bytes(data[position : position + 4])):
        raise Damaged("it is not an Arrow stream" if position == 0 else f"garbage at byte {position}")
    if len(data) - position < 8:
        return None
    (length,) = struct.unpack_from("<i", data, position + 4)
    if length < 0 or length % 8 or (position > 0 and length > _LONGEST_METADATA):
        raise Damaged(f"garbage at byte {position}")
    start, body = position + 8, position + 8 + length
    if length == 0 or body > len(data):
        return None
    try:
        kind, body_length = _kind_and_body_length(data[start:body])
    except (struct.error, IndexError) as error:
        raise Damaged(f"garbage at byte {start}") from error
    if body_length < 0:
        raise Damaged(f"garbage at byte {start}")
    return (kind, body + body_length) if body + body_length <= len(data) else None


def _kind_and_body_length(metadata: memoryview) -> tuple[int, int]:
    (root,) = struct.unpack_from("<I", metadata, 0)
    (back,) = struct.unpack_from("<i", metadata, root)
    (table_size,) = struct.unpack_from("<H", metadata, root - back)
    kind_at, _, length_at = struct.unpack_from("<3H", metadata, root - back + 6)
    if table_size < 12 or length_at == 0:  # a field at its default, 0, is left out
        return (metadata[root + kind_at], 0)
    return (metadata[root + kind_at], struct.unpack_from("<q", metadata, root + length_at)[0])
