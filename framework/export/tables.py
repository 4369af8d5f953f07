"""Events and history as Parquet or CSV: two files in a folder, with the columns of `EVENTS` and `HISTORY`.

Names are text, and a payload is JSON: of a send its message, of a drop or a reject `{"why": text}`, of a crash
`{"traceback": text}`. A delivery has no payload: its message is in the row whose `seq` is its `cause`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from framework.core.errors import ConfigError
from framework.export.recorded_run import Payloads, RecordedRun
from framework.trace.columns import words
from framework.trace.schema import EVENTS, HISTORY

Opened: TypeAlias = AbstractContextManager[Any]
"""A writer of pyarrow, which has `write(batch)`."""


def write_parquet(recorded: RecordedRun, folder: Path) -> str:
    """Writes events.parquet and history.parquet into a new folder. Returns a summary.

    Raises ConfigError if there is neither an event nor an operation; OSError.
    """

    def opened(path: Path, schema: pa.Schema) -> Opened:
        return pq.ParquetWriter(path, schema, compression="zstd")  # type: ignore[no-any-return]

    return _write(recorded, folder, "parquet", opened)


def write_csv(recorded: RecordedRun, folder: Path) -> str:
    """Writes events.csv and history.csv into a new folder; text is in quotes, null is empty. Returns a summary.

    Raises ConfigError if there is neither an event nor an operation; OSError.
    """

    def opened(path: Path, schema: pa.Schema) -> Opened:
        return pa_csv.CSVWriter(path, schema)  # type: ignore[no-any-return]

    return _write(recorded, folder, "csv", opened)


def _write(recorded: RecordedRun, folder: Path, ending: str, opened: Callable[[Path, pa.Schema], Opened]) -> str:
    folder.mkdir()
    counts = []
    tables = (("events", EVENTS, _events(recorded)), ("history", HISTORY, iter(recorded.history().to_batches())))
    for name, schema, batches in tables:
        columns = plain_schema(schema)
        with opened(folder / f"{name}.{ending}", columns) as writer:
            counts.append(sum(_written(writer, batch, columns) for batch in batches))
    if not any(counts):
        what = f"holds no event and no operation{f': it was run with trace={recorded.level}' * bool(recorded.level)}"
        raise ConfigError(str(recorded.run.folder), what, "Run it again with trace=full.")
    return f"{counts[0]:,} events, {counts[1]:,} operations"


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Returns the schema with names and payloads as text."""
    text = [pa.types.is_dictionary(field.type) or pa.types.is_binary(field.type) for field in schema]
    return pa.schema(
        [
            pa.field(field.name, pa.string(), field.nullable) if is_text else field
            for field, is_text in zip(schema, text, strict=True)
        ]
    )


def _written(writer: Any, batch: pa.RecordBatch, columns: pa.Schema) -> int:
    arrays = [batch[field.name].cast(field.type) for field in columns]
    writer.write(pa.RecordBatch.from_arrays(arrays, schema=columns))
    return int(batch.num_rows)


def _events(recorded: RecordedRun) -> Iterator[pa.RecordBatch]:
    payloads = Payloads(recorded.shapes)
    place = EVENTS.get_field_index("payload")
    for batch in recorded.events():
        texts = [
            None if payload is None else payloads.text(str(kind), message, payload)
            for kind, message, payload in zip(
                words(batch["kind"]), words(batch["message"]), batch["payload"].to_pylist(), strict=True
            )
        ]
        yield batch.set_column(place, "payload", pa.array(texts, pa.string()))
