"""The recordings of a worker: trace rows with its own `seq`s, and history rows."""

from __future__ import annotations

from pathlib import Path

import msgspec

from framework.core.address import split_route
from framework.core.clock import Clock
from framework.core.durable import Stored
from framework.engine.wire_codec import Wire
from framework.trace.recorder import EventWriter
from framework.trace.schema import EVENT_ROW, NO_NAME, OPERATION, EventKind, NameTable

_encode = msgspec.msgpack.Encoder().encode

_pack = EVENT_ROW.pack
_pack_operation = OPERATION.pack
_COUNTER_BITS, _INCARNATION_BITS = 40, 10


def first_seq(worker: int, incarnation: int) -> int:
    """Returns the `seq` before the first one of a worker's incarnation: worker, incarnation and counter in one number.

    Raises ValueError if a worker was started more often than the number can represent.
    """
    if incarnation >= 1 << _INCARNATION_BITS:
        raise ValueError(f"a worker cannot be started more than {1 << _INCARNATION_BITS} times in one traced run")
    return (worker << _INCARNATION_BITS | incarnation) << _COUNTER_BITS


def process_of(seq: int) -> int:
    """Returns the worker and incarnation of an event, as one number."""
    return seq >> _COUNTER_BITS


def start_payload(incarnation: int, epoch: int, stored: Stored, clock: Clock | None = None) -> bytes:
    """Returns the payload of a start, for replay: the incarnation, the wall clock's zero, the restored state, and the
    clock if it had been set wrong before."""
    told = {"incarnation": incarnation, "epoch": epoch, "stored": stored}
    return _encode(told if clock is None else {**told, "clock": clock.plain()})


class EventRows:
    """One file of trace rows of one process, in the order of the events."""

    def __init__(self, path: Path, wire: Wire, endpoints: tuple[str, ...], first: int) -> None:
        self._names = NameTable()
        self._messages = [self._names.index(name) for name in wire.names]
        self._endpoints = [self._names.index(name) for name in endpoints]
        self._endpoint_names = endpoints
        self._mounts: dict[tuple[int, str], int] = {}
        shapes = msgspec.json.encode(wire.shapes()).decode()
        self._writer = EventWriter(path, self._names, {"messages": shapes}, tail=True)
        self._seq = first

    def row(
        self, kind: EventKind, at: int, cause: int, node: int, path: str = "", *, name: str | None = None,
        payload: bytes | None = None, size: int = -1, operation: int | None = None,
    ) -> int:  # fmt: skip
        """Writes an event of one node (-1: of no node); returns its `seq`. `name` goes into the column `message`."""
        self._seq = seq = self._seq + 1
        length = -1 if payload is None else len(payload)
        message = NO_NAME if name is None else self._names.index(name)
        self._writer.rows.append(_pack(at, seq, cause, size, length, self._place(node, path), NO_NAME, message, kind))
        if payload is not None:
            self._writer.payloads.append(payload)
        if operation is not None:
            self._writer.operations.append(_pack_operation(seq, operation))
        return seq

    def send(
        self, at: int, cause: int, source: int, target: int, route: str, message: int, payload: bytes, operation: int | None
    ) -> int:  # fmt: skip
        """Writes the send of a message; returns its `seq`."""
        self._seq = seq = self._seq + 1
        size = len(payload)
        sender, receiver = self._places(source, target, route)
        rows = self._writer
        rows.rows.append(_pack(at, seq, cause, size, size, sender, receiver, self._messages[message], EventKind.SEND))
        rows.payloads.append(payload)
        if operation is not None:
            rows.operations.append(_pack_operation(seq, operation))
        return seq

    def deliver(
        self,
        at: int,
        cause: int,
        target: int,
        source: int,
        route: str,
        message: int,
        size: int,
        operation: int | None,
    ) -> int:
        """Writes the delivery of a message, which is the step of its handler; returns its `seq`."""
        self._seq = seq = self._seq + 1
        sender, receiver = self._places(source, target, route)
        self._writer.rows.append(
            _pack(at, seq, cause, size, -1, receiver, sender, self._messages[message], EventKind.DELIVER)
        )
        if operation is not None:
            self._writer.operations.append(_pack_operation(seq, operation))
        return seq

    def drop(
        self, at: int, cause: int, source: int, target: int, route: str, message: int, size: int, why: str,
        operation: int | None,
    ) -> None:  # fmt: skip
        """Writes the loss of a message."""
        self._seq = seq = self._seq + 1
        payload = why.encode()
        sender, receiver = self._places(source, target, route)
        name = self._messages[message]
        self._writer.rows.append(_pack(at, seq, cause, size, len(payload), sender, receiver, name, EventKind.DROP))
        self._writer.payloads.append(payload)
        if operation is not None:
            self._writer.operations.append(_pack_operation(seq, operation))

    def flush_if_due(self) -> None:
        self._writer.flush_if_due()

    def write_through(self) -> None:
        """Hands the waiting rows to the kernel, so that a kill of the process does not lose them."""
        self._writer.write_through()

    def close(self) -> None:
        self._writer.close()

    def _places(self, source: int, target: int, route: str) -> tuple[int, int]:
        """Returns the indices of the names of a message's sender and receiver."""
        if not route:
            return self._endpoints[source], self._endpoints[target]
        mount, path = split_route(route)
        return self._place(source, path), self._place(target, mount)

    def _place(self, endpoint: int, path: str) -> int:
        if not path:
            return self._endpoints[endpoint] if endpoint >= 0 else NO_NAME
        place = self._mounts.get((endpoint, path))
        if place is None:
            place = self._mounts[(endpoint, path)] = self._names.index(f"{self._endpoint_names[endpoint]}/{path}")
        return place


def merge_histories(parts: list[Path], target: Path) -> None:
    """Merges the operations of several files into one, in the order of their invocations, and removes the parts.

    If a part is missing or incomplete, all are left as they are: only together do they show how far they are reliable.
    """
    import pyarrow as pa

    from framework.trace.schema import HISTORY
    from framework.trace.stream import StreamReader, StreamWriter

    if not all(part.exists() for part in parts):
        return
    readers = [StreamReader(part, HISTORY) for part in parts]
    if not all(reader.is_complete for reader in readers):
        return
    order = [("invoked", "ascending"), ("operation", "ascending")]
    tables = [pa.Table.from_batches(reader, HISTORY) for reader in readers]
    whole = pa.concat_tables(tables).unify_dictionaries().sort_by(order)
    draft = target.with_name(f".{target.name}.draft")
    writer = StreamWriter(draft, HISTORY)
    for batch in whole.combine_chunks().to_batches():
        writer.write(batch)
    writer.close()
    draft.replace(target)  # atomic: either the whole history or the parts exist
    for part in parts:
        part.unlink()
