"""The recording of a simulated run: trace rows and history rows, at the configured trace level."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

import msgspec

from framework.engine.base import Experiment, Progress
from framework.engine.tally import Tally
from framework.engine.wire_codec import Wire
from framework.trace.recorder import EventWriter, HistoryWriter
from framework.trace.schema import EVENT_ROW, NO_NAME, OPERATION, EventKind, NameTable


class Recording:
    """Holds the files and the digest, and writes the rare kinds of rows. Frequent rows are packed in `Simulation`."""

    def __init__(self, experiment: Experiment, wire: Wire) -> None:
        self.names = NameTable()
        self.message_names = [self.names.index(name) for name in wire.names]
        self.events: EventWriter | None = None
        self.history: HistoryWriter | None = None
        folder = experiment.run_dir
        if experiment.trace == "full":
            shapes = msgspec.json.encode(wire.shapes()).decode()
            self.events = EventWriter(folder / "trace" / "events.arrow", self.names, {"messages": shapes})
        if experiment.trace != "none":
            self.history = HistoryWriter(folder / "history.arrow")

    def row(
        self, kind: EventKind, at: int, seq: int, cause: int, node: int, *, peer: int = NO_NAME, message: int = NO_NAME,
        size: int = -1, payload: bytes | None = None, operation: int | None = None,
    ) -> None:  # fmt: skip
        """Writes one event, if the trace is full."""
        if self.events is None:
            return
        length = -1 if payload is None else len(payload)
        self.events.rows.append(EVENT_ROW.pack(at, seq, cause, size, length, node, peer, message, kind))
        if payload is not None:
            self.events.payloads.append(payload)
        if operation is not None:
            self.events.operations.append(OPERATION.pack(seq, operation))

    def flush_if_due(self) -> None:
        if self.events is not None:
            self.events.flush_if_due()
        if self.history is not None:
            self.history.flush_if_due()

    def close(self) -> None:
        for writer in (self.events, self.history):
            if writer is not None:
                writer.close()

    @property
    def digest(self) -> str | None:
        writer = self.events or self.history
        return None if writer is None else writer.digest


class Heartbeat:
    """Periodic work by the wall clock: flushes rows, updates the screen, and ends the run after a signal.

    Inside the context, SIGINT and SIGTERM wait for the next beat, which raises KeyboardInterrupt between two steps: in
    the middle of a step, a row could be left without its payload. Its readings of the wall clock change nothing in the
    run. Outside the main thread, which receives no signals, entering the context has no effect.
    """

    EVERY_S = 0.1

    def __init__(self, recording: Recording, progress: Progress, tally: Tally) -> None:
        self._recording, self._progress, self._tally = recording, progress, tally
        self._next = 0.0
        self.asked = False  # whether a signal came, even after the last beat
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Heartbeat:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def beat(self, now: int) -> None:
        """Called once every few thousand steps. Raises KeyboardInterrupt if a signal came, OSError if a file cannot be
        written."""
        if self.asked:
            raise KeyboardInterrupt
        self._recording.flush_if_due()
        wall = time.monotonic()
        if wall >= self._next:
            self._next = wall + self.EVERY_S
            self._progress(now, self._tally)
