"""The parts of the Arrow IPC file layout that pyarrow does not expose: positions of messages, and the footer.

A file is eight bytes of magic, a stream, and a footer with the positions of the stream's dictionaries and record
batches (arrow.apache.org/docs/format/Columnar.html, "IPC File Format"; Schema.fbs, Message.fbs, File.fbs). pyarrow's
own file writer refuses dictionaries that grow, although a footer may name the last of them for all batches: indices
never change here.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
from pyarrow import ipc

MAGIC = b"ARROW1\0\0"
END_OF_STREAM = b"\xff\xff\xff\xff" + bytes(4)
SCHEMA, DICTIONARY, RECORD_BATCH = 1, 2, 3  # Message.fbs: MessageHeader

_CONTINUATION = END_OF_STREAM[:4]
_LONGEST_METADATA = 1 << 28  # of a message; a longer one is garbage in place of a length
_BLOCK = struct.Struct("<qi4xq")  # File.fbs: Block


class Damaged(ValueError):
    """Signals a file that is not a trace or history, or was overwritten. The message says what is wrong with it."""


class IpcMessage(NamedTuple):
    """One encapsulated message: its start in the file, and the lengths of its two parts, in bytes.

    `dictionary` is the id of its dictionary, -1 if it has none.
    """

    kind: int
    start: int
    metadata: int
    body: int
    dictionary: int

    @property
    def end(self) -> int:
        return self.start + self.metadata + self.body


def message_at(data: memoryview, start: int, offset: int = 0) -> IpcMessage | None:
    """Returns the message at `start` in `data`, which begins at `offset` in the file; None if it is incomplete.

    Raises Damaged.
    """
    if not _CONTINUATION.startswith(bytes(data[start : start + 4])):
        raise Damaged(f"garbage at byte {offset + start}")
    if len(data) - start < 8:
        return None
    (length,) = struct.unpack_from("<i", data, start + 4)
    if length < 0 or length % 8 or length > _LONGEST_METADATA:
        raise Damaged(f"garbage at byte {offset + start}")
    body = start + 8 + length
    if length == 0 or body > len(data):
        return None
    try:
        kind, body_length, dictionary = _header(data[start + 8 : body])
    except (struct.error, LookupError) as error:
        raise Damaged(f"garbage at byte {offset + start + 8}") from error
    if body_length < 0:
        raise Damaged(f"garbage at byte {offset + start + 8}")
    if body + body_length > len(data):
        return None
    return IpcMessage(kind, offset + start, 8 + length, body_length, dictionary)


def footer(schema: pa.Schema, dictionaries: Sequence[IpcMessage], batches: Sequence[IpcMessage]) -> bytes:
    """Returns the footer of a file with these messages, without its length and the magic behind it."""
    empty = io.BytesIO()
    ipc.new_file(empty, schema).close()
    end = empty.getbuffer().nbytes - 10  # its length and six bytes of magic follow
    (length,) = struct.unpack_from("<i", empty.getbuffer(), end)
    content = bytearray(empty.getbuffer()[end - length : end])
    fields = _fields(memoryview(content), *struct.unpack_from("<I", content))
    for field, blocks in ((2, dictionaries), (3, batches)):
        content += bytes(-(len(content) + 4) % 8)  # blocks begin at a multiple of eight
        struct.pack_into("<I", content, fields[field], len(content) - fields[field])
        content += struct.pack("<I", len(blocks))
        for block in blocks:
            content += _BLOCK.pack(block.start, block.metadata, block.body)
    return bytes(content)


def _header(metadata: memoryview) -> tuple[int, int, int]:
    """Returns kind, body length and dictionary id of a message (Message.fbs)."""
    fields = _fields(metadata, *struct.unpack_from("<I", metadata))
    kind = metadata[fields[1]]
    (body,) = struct.unpack_from("<q", metadata, fields[3]) if 3 in fields else (0,)
    dictionary = -1
    if kind == DICTIONARY:
        (header,) = struct.unpack_from("<I", metadata, fields[2])
        own = _fields(metadata, fields[2] + header)
        (dictionary,) = struct.unpack_from("<q", metadata, own[0]) if 0 in own else (0,)
    return kind, body, dictionary


def _fields(data: memoryview, table: int) -> dict[int, int]:
    """Returns the positions of a flatbuffers table's fields, by field number; fields at their defaults are absent."""
    (back,) = struct.unpack_from("<i", data, table)
    vtable = table - back
    (size,) = struct.unpack_from("<H", data, vtable)
    offsets = struct.unpack_from(f"<{(size - 4) // 2}H", data, vtable + 4)
    return {number: table + offset for number, offset in enumerate(offsets) if offset}
