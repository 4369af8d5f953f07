"""Rows for the tests of the trace: an event as plain values, and what the reader should give for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framework.trace.recorder import EventWriter
from framework.trace.schema import EVENT_ROW, NO_NAME, OPERATION, EventKind, NameTable


@dataclass(frozen=True)
class Event:
    time: int
    seq: int
    node: str | None = "n1"
    kind: EventKind = EventKind.NOTE
    peer: str | None = None
    message: str | None = None
    operation: int | None = field(default=None, kw_only=True)
    cause: int | None = None
    size: int | None = None
    payload: bytes | None = None

    def row(self) -> dict[str, Any]:
        return {**self.__dict__, "kind": self.kind.name.lower()}


def record(writer: EventWriter, names: NameTable, event: Event) -> None:
    """Appends as an engine does."""

    def name(value: str | None) -> int:
        return NO_NAME if value is None else names.index(value)

    writer.rows.append(
        EVENT_ROW.pack(
            event.time,
            event.seq,
            -1 if event.cause is None else event.cause,
            -1 if event.size is None else event.size,
            -1 if event.payload is None else len(event.payload),
            name(event.node),
            name(event.peer),
            name(event.message),
            event.kind,
        )
    )
    if event.payload is not None:
        writer.payloads.append(event.payload)
    if event.operation is not None:
        writer.operations.append(OPERATION.pack(event.seq, event.operation))


def write_events(path: Path, events: list[Event], flush_after: set[int] | None = None, **metadata: str) -> str:
    """Writes a whole file, flushing after the given row numbers; returns the digest."""
    names = NameTable()
    writer = EventWriter(path, names, metadata)
    for number, event in enumerate(events):
        record(writer, names, event)
        if flush_after and number in flush_after:
            writer.flush()
    writer.close()
    return writer.digest
