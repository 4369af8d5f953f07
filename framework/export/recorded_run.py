"""The readable part of a run: what its files hold, with a warning for each file that ends early or is damaged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from framework.core.errors import ConfigError
from framework.runs.folder import CONFIG, HISTORY, RESULT, TRACE
from framework.trace.reader import Run, open_run
from framework.trace.schema import HISTORY as HISTORY_SCHEMA
from framework.trace.schema import Shape, decode_payload

_MESSAGES_KEPT = 1 << 14
_encode = msgspec.json.Encoder().encode


class RecordedRun:
    """A run folder, finished, interrupted, killed or damaged. `warnings` fills while the run is read.

    Raises ConfigError if there is no run in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.run: Run = open_run(folder)
        self.warnings: list[str] = []
        if not any((folder / name).exists() for name in (CONFIG, RESULT, HISTORY, TRACE)):
            raise ConfigError(str(folder), "holds no run", "Give the folder that holds trace/ and history.arrow.")
        self.shapes: dict[str, Shape] = {}
        """The shapes of messages in the batches taken so far."""
        self._seen_shapes: set[bytes] = set()
        self._note_state()

    @property
    def level(self) -> str:
        """The run's setting `trace`: `full`, `history` or `none`; "" if its config cannot be read."""
        try:
            return str((self.run.config.get("trace") or {}).get("level", ""))
        except (ConfigError, AttributeError):
            return ""

    def events(self) -> Iterator[pa.RecordBatch]:
        """Yields the readable events of all files by time, then seq, batch by batch; no empty batch.

        A file holds the rows of one process in the order of time. In memory is a batch of each file.
        """
        return merged([self._readable_events(file) for file in self.run.event_files])

    def history(self) -> pa.Table:
        """Returns the readable operations, as recorded: in the order of their completion on each client."""
        batches = []
        try:
            for batch in self.run.history_batches():
                batches.append(batch)
        except ConfigError as error:
            self._warn(f"{error} The operations after it are left out.")
        if not batches:
            return HISTORY_SCHEMA.empty_table()
        return pa.concat_tables([pa.Table.from_batches([batch]) for batch in batches]).unify_dictionaries()

    def ledger(self) -> list[dict[str, Any]]:
        """Returns the ledger of faults; empty if the result cannot be read."""
        try:
            return list(self.run.result.get("ledger") or ())
        except ConfigError:
            return []

    def _readable_events(self, file: Path) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self.run.event_batches(file):
                if batch.num_rows:
                    self._note_shapes(batch.schema)
                    yield batch
        except ConfigError as error:
            self._warn(f"{error} The events after it are left out.")

    def _note_shapes(self, schema: pa.Schema) -> None:
        text = (schema.metadata or {}).get(b"messages")
        if text is not None and text not in self._seen_shapes:
            self._seen_shapes.add(text)
            self.shapes.update(json.loads(text))

    def _note_state(self) -> None:
        """Warns if the run was cut off or interrupted."""
        try:
            result = self.run.result
            if result.get("interrupted"):
                self._warn(f"{self.run.folder}: the run was interrupted. What it recorded is exported.")
            if not result:
                self._warn(f"{self.run.folder}: the run was cut off, or has not ended. What it recorded is exported.")
            if (cut := self.run.history_cut) is not None:
                self._warn(f"{self.run.folder}: its history is complete up to {cut / 1e9:.3f} s.")
        except ConfigError as error:
            self._warn(str(error))

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)


def merged(streams: Iterable[Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    """Yields the rows of several streams by time, then seq. Each stream is in the order of time, without empty
    batches."""
    heads: list[tuple[pa.RecordBatch, Iterator[pa.RecordBatch]]] = []
    for stream in streams:
        if (first := next(stream, None)) is not None:
            heads.append((_by_time(first), stream))
    while len(heads) > 1:
        until = min(batch["time"][-1].as_py() for batch, _ in heads)
        ready, rest = [], []
        for head, stream in heads:
            batch: pa.RecordBatch | None = head
            count = int(np.searchsorted(head["time"].to_numpy(), until, side="right"))
            if count:
                ready.append(head.slice(0, count))
            if count == head.num_rows:
                following = next(stream, None)
                batch = None if following is None else _by_time(following)
            elif count:
                batch = head.slice(count)
            if batch is not None:
                rest.append((batch, stream))
        heads = rest
        yield from _joined(ready)
    for batch, stream in heads:
        yield batch
        yield from map(_by_time, stream)


def _joined(batches: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    if len(batches) == 1:
        yield batches[0]
        return
    table = pa.concat_tables([pa.Table.from_batches([batch.replace_schema_metadata(None)]) for batch in batches])
    for batch in table.unify_dictionaries().combine_chunks().to_batches():
        yield _by_time(batch)


def _by_time(batch: pa.RecordBatch) -> pa.RecordBatch:
    time, seq = batch["time"].to_numpy(), batch["seq"].to_numpy()
    later = (time[1:] > time[:-1]) | ((time[1:] == time[:-1]) & (seq[1:] >= seq[:-1]))
    return batch if later.all() else batch.take(pa.array(np.lexsort((seq, time))))


class Payloads:
    """Decodes the payloads of events to plain values.

    A payload that cannot be decoded, or whose message is not described in the trace, becomes `{"undecoded": bytes}`.
    """

    def __init__(self, shapes: dict[str, Shape]) -> None:
        self._shapes = shapes
        self._texts: dict[tuple[str, bytes], str] = {}

    def of_event(self, kind: str, message: str | None, payload: bytes) -> Any:
        """Returns the content of an event's own payload: of a send its message, of a drop its reason."""
        try:
            if kind == "send":
                return decode_payload(self._shapes[message or ""], payload)
            if kind == "crash":
                return {"traceback": payload.decode(errors="replace")}
            if kind in ("drop", "reject"):
                return {"why": payload.decode(errors="replace")}
            if kind == "start":
                return msgspec.msgpack.decode(payload)
            return json.loads(payload)
        except (KeyError, ValueError, RecursionError):
            return {"undecoded": payload}

    def text(self, kind: str, message: str | None, payload: bytes) -> str:
        """Returns the content as JSON; bytes are in Base64."""
        key = (f"{kind} {message}", payload)
        text = self._texts.get(key)
        if text is None:
            text = as_text(self.of_event(kind, message, payload))
            if len(self._texts) >= _MESSAGES_KEPT:
                self._texts.clear()
            self._texts[key] = text
        return text


def as_text(value: Any) -> str:
    """Returns a decoded value as JSON. Bytes are in Base64; keys that JSON lacks are written as Python does."""
    try:
        return _encode(value).decode()
    except (TypeError, ValueError, msgspec.MsgspecError):
        return _encode(_with_text_keys(value)).decode()


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key if isinstance(key, str) else repr(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, list | tuple) else value


def no_events(recorded: RecordedRun) -> ConfigError:
    """Builds the error about a run without events."""
    what = "holds no events"
    if recorded.level in ("history", "none"):
        what = f"holds no events: it was run with trace={recorded.level}"
    return ConfigError(str(recorded.run.folder), what, "Run it again with trace=full.")
