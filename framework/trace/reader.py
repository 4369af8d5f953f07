"""Opens a run folder: events, history, config and result, each loaded on first use."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.errors import ConfigError
from framework.trace.history import HistoryReader, history_files
from framework.trace.ipc_format import Damaged
from framework.trace.schema import EVENTS, HISTORY, Shape, decode_payload
from framework.trace.stream import StreamReader, read_stream
from framework.trace.tail import read_tail, tail_batch

_BINARY_BYTES = 2**31 - 1  # the limit of a binary column's 32-bit offsets; `large_binary` beyond
_CARRIES_A_MESSAGE = ("send", "deliver", "drop")


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Opens the run in a folder, finished or cut off.

    Raises ConfigError if there is no such folder, or it is a sweep.
    """
    path = Path(folder)
    if not path.is_dir():
        raise ConfigError(str(path), "no such run folder", "Give the folder that holds trace/ and history.arrow.")
    if (path / "sweep.json").exists():
        raise ConfigError(
            str(path), "is a sweep and no run", "Open it with framework.open_sweep; runs are in its kept/."
        )
    return Run(path)


class Run:
    """A recorded run. Each part raises a ConfigError that names the file if that is damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        from framework.trace.display import html_of

        return html_of(self.folder, lambda: self.result, lambda: self.history)

    def figure(self, name: str) -> Any:
        """Returns an Altair chart of the run: `throughput`, `latency` or `latency_distribution`.

        Needs the extra `studies` (`pip install 'synod[studies]'`). `run.figure("latency").save("latency.svg")` writes a
        file. Raises ConfigError for another name, without Altair, or if the run has no operations.
        """
        from framework.trace.figures import figure_of

        return figure_of(self.folder, self.history, name)

    @cached_property
    def events(self) -> pa.Table:
        """The events of all nodes (schema `EVENTS`), by time, then seq; no rows if none were traced.

        Rows that a killed process on Ray had not yet written had no effect visible to others. If the records of a
        machine are lost, a `cause` may name a missing event.
        The payload of a message is in its send row; `decode` and `messages` make it readable.
        """
        tables = [_read_events(path) for path in self.event_files]
        return _by_time(_joined(tables, EVENTS), "time", "seq")

    @property
    def event_files(self) -> list[Path]:
        """The trace files: one in the simulator; on Ray one for each life of each process, and the driver's."""
        return sorted((self.folder / "trace").glob("*.arrow"))

    def event_batches(self, file: Path | None = None) -> Iterator[pa.RecordBatch]:
        """Yields the rows of `events`, file by file and batch by batch, in the memory of one batch; or those of one of
        the `event_files`."""
        for path in self.event_files if file is None else [file]:
            with _readable(path):
                tail, reader, last = read_tail(path), StreamReader(path, EVENTS), -1
                for batch in reader:
                    last = batch["seq"][-1].as_py() if batch.num_rows else last
                    yield batch
                rest = tail_batch(tail, last, reader.schema)
            if rest is not None:
                yield rest

    @cached_property
    def history(self) -> pa.Table:
        """The operations that clients saw (schema `HISTORY`), as recorded; no rows if there is no history.

        The history of a killed run ends at `history_cut`; operations under way then have the outcome unknown.
        """
        with _readable(self.folder / "history.arrow"):
            batches = list(self._history)
        return _joined([pa.Table.from_batches([batch]) for batch in batches], HISTORY)

    def history_batches(self) -> Iterator[pa.RecordBatch]:
        """Yields the rows of `history`, batch by batch, in the memory of one batch."""
        with _readable(self.folder / "history.arrow"):
            yield from self._history

    @property
    def has_history(self) -> bool:
        """True if there is a history file, even an empty one."""
        return bool(history_files(self.folder))

    @property
    def history_cut(self) -> int | None:
        """The time up to which the history of a killed run is reliable, in nanoseconds; None if it is complete."""
        return self._history.cut

    @cached_property
    def _history(self) -> HistoryReader:
        files = history_files(self.folder)
        with _readable(files[0] if files else self.folder):
            return HistoryReader(files)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The run's complete config, resolved."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        path = self.folder / "config.yaml"
        try:
            loaded = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
        except FileNotFoundError as error:
            raise ConfigError(str(path), "missing", "Is this the folder of a run?") from error
        except (OSError, ValueError, RecursionError, YAMLError, OmegaConfBaseException) as error:
            raise ConfigError(str(path), f"cannot be read ({_first_line(error)})") from error
        if not isinstance(loaded, dict):
            raise ConfigError(str(path), "holds no mapping")
        return {str(key): value for key, value in loaded.items()}

    @cached_property
    def result(self) -> dict[str, Any]:
        """Verdicts and statistics; empty if the run was cut off before it wrote them."""
        path = self.folder / "result.json"
        try:
            result = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(str(path), f"cannot be read ({_first_line(error)})") from error
        if not isinstance(result, dict):
            raise ConfigError(str(path), "holds no mapping")
        return result

    def messages(self, kind: str = "send") -> Iterator[dict[str, Any]]:
        """Yields the rows of one kind, in order, as dicts with decoded `payload` (None: the event carries none)."""
        chosen = self.events.filter(pc.equal(self.events["kind"].cast(pa.string()), kind))
        for batch in chosen.to_batches(max_chunksize=4096):
            for row in batch.to_pylist():
                yield {**row, "payload": self.decode(row)}

    def decode(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Returns the payload of an event as `{field: value}`; None if it has none.

        For a delivery or a drop, this is the message of the send that caused it, None if that send is not in the trace;
        the reason of a drop is the text in its own payload. A crash gives `{"traceback": text}`, a reject
        `{"why": text}`; JSON that is not an object gives `{"value": it}`.
        Raises ConfigError if the trace lacks the shape of the message, or the payload cannot be decoded.
        """
        kind, name, payload = row["kind"], row["message"], row["payload"]
        if kind in ("drop", "deliver"):
            payload = self._sent(row["cause"])
        if payload is None:
            return None
        try:
            if kind == "crash":
                return {"traceback": payload.decode()}
            if kind == "reject":
                return {"why": payload.decode()}
            if kind == "start":  # the state that the node was restored from
                restored: dict[str, Any] = msgspec.msgpack.decode(payload)
                return restored
            if kind in _CARRIES_A_MESSAGE:
                return decode_payload(self._shapes[name], payload)
            value = json.loads(payload)
        except KeyError as error:
            where, known = str(self.folder / "trace"), ", ".join(sorted(self._shapes)) or "none"
            raise ConfigError(where, f"no shape of message {name!r}", f"Known: {known}.") from error
        except ValueError as error:
            where = f"{self.folder / 'trace'}: event {row['seq']}"
            raise ConfigError(where, f"its payload cannot be decoded ({_first_line(error)})") from error
        return value if isinstance(value, dict) else {"value": value}

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        shapes: dict[str, Shape] = json.loads((self.events.schema.metadata or {}).get(b"messages", b"{}"))
        return shapes

    @cached_property
    def _sends(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The seqs of sends in increasing order, and the index of each in `events`."""
        is_send = pc.equal(self.events["kind"].cast(pa.string()), "send")
        places = np.flatnonzero(is_send.to_numpy())
        seqs = self.events["seq"].to_numpy()[places]
        order = np.argsort(seqs, kind="stable")
        return seqs[order], places[order]

    def _sent(self, seq: int | None) -> bytes | None:
        seqs, places = self._sends
        if seq is None or not len(seqs):
            return None
        found = min(int(np.searchsorted(seqs, seq)), len(seqs) - 1)
        if seqs[found] != seq:
            return None
        payload: bytes | None = self.events["payload"][int(places[found])].as_py()
        return payload


def _read_events(path: Path) -> pa.Table:
    """Reads a trace file and, if its process was killed, its tail."""
    with _readable(path):
        tail, table = read_tail(path), read_stream(path, EVENTS)
        last = pc.max(table["seq"]).as_py()
        rest = tail_batch(tail, -1 if last is None else last, table.schema)
    return table if rest is None else pa.concat_tables([table, pa.Table.from_batches([rest])])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Converts errors of reading `path` to ConfigError: a damaged file, or one that cannot be read."""
    try:
        yield
    except Damaged as error:
        raise ConfigError(str(path), f"cannot be read: {error}", "Take the run again, or remove the file.") from error
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({_first_line(error)})") from error


def _joined(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    """Joins tables into one, with one dictionary per column and the metadata of all; merges the files' `messages`."""
    if not tables:
        return schema.empty_table()
    metadata = _united(table.schema.metadata or {} for table in tables)
    joined = pa.concat_tables(tables).unify_dictionaries()
    if "payload" in schema.names and joined.nbytes > _BINARY_BYTES:
        place = schema.get_field_index("payload")
        joined = joined.set_column(place, "payload", joined["payload"].cast(pa.large_binary()))
    return joined.replace_schema_metadata(metadata)


def _united(metadata: Iterable[Mapping[bytes, bytes]]) -> dict[bytes, bytes]:
    united: dict[bytes, bytes] = {}
    messages: dict[str, Any] = {}
    for one in metadata:
        united.update(one)
        messages.update(json.loads(one.get(b"messages", b"{}")))
    return {**united, b"messages": json.dumps(messages).encode()} if messages else united


def _by_time(table: pa.Table, *columns: str) -> pa.Table:
    """Sorts by two integer columns. A table that is already in order is not copied."""
    major, minor = (table[column].to_numpy() for column in columns)
    later = (major[1:] > major[:-1]) | ((major[1:] == major[:-1]) & (minor[1:] >= minor[:-1]))
    return table if later.all() else table.take(np.lexsort((minor, major)))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
