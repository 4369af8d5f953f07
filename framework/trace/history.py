"""The history of a run folder: complete, or cut at the last consistent point that the files of a killed run record.

Rows are written when operations end. A file that its writer closed has them all. One that was cut off has, with each
batch, the operations that were under way then (`recorder.CUT`): with the rows so far they are a consistent cut, exactly
what clients had seen by that time. With several client processes, the earliest of their last cuts applies to all: what
completed later counts as under way, and what was invoked later is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from framework.trace.ipc_format import Damaged
from framework.trace.recorder import CUT, HistoryRow, history_batch
from framework.trace.schema import HISTORY, OUTCOMES, NameTable
from framework.trace.stream import StreamReader

_Cut: TypeAlias = tuple[int, list[HistoryRow]]
_decode = msgspec.json.Decoder(_Cut).decode
_NAMES = 2**31 - 1


def history_files(folder: Path) -> list[Path]:
    """The files that hold the history of a run folder: one, or of a killed run those of its several client processes."""
    whole = folder / "history.arrow"
    return [whole] if whole.exists() else sorted(folder.glob("history-*.arrow"))


def history_digest(batches: Iterable[pa.RecordBatch]) -> str:
    """SHA-256, in hex, of a whole history: the digest that its writer had, and a run at `trace=history` has."""
    whole = hashlib.sha256()
    for batch in batches:
        columns = [batch[name].to_pylist() for name in HISTORY.names]
        whole.update(b"".join(map(msgspec.msgpack.encode, zip(*columns, strict=True))))
    return whole.hexdigest()


class HistoryReader:
    """The operations in the files of one history, batch by batch: only the one that was taken last is in memory.

    `cut` is None for a whole history; else it ends at that time, in nanoseconds of the run, and operations that were
    under way then come last, as of unknown fate. Raises Damaged and OSError at once or when a batch is taken.
    """

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        cuts = {path: cut for path in paths if (cut := _last_cut(path)) is not None}
        self._under_way = [row for _, rows in cuts.values() for row in rows]
        self.cut = min((time for time, _ in cuts.values()), default=None)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for path in self._paths:
            for batch in StreamReader(path, HISTORY):
                yield self._up_to_cut(batch)
        if self._under_way:
            names = NameTable(_NAMES), NameTable(_NAMES)
            yield self._up_to_cut(history_batch(self._under_way, *names, HISTORY))

    def _up_to_cut(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What had been seen of these operations before the cut. Of a single file that is all: it has its own cut."""
        if self.cut is None or len(self._paths) == 1:
            return batch
        batch = batch.filter(pc.less(batch["invoked"], self.cut))
        later = pc.fill_null(pc.greater_equal(batch["completed"], self.cut), False)
        unknown = pa.scalar(OUTCOMES.index("unknown"), pa.int8())
        outcomes = batch["outcome"]
        indices = pc.if_else(later, unknown, outcomes.indices)
        columns: dict[str, Any] = {name: batch[name] for name in batch.schema.names}
        columns["outcome"] = pa.DictionaryArray.from_arrays(indices, outcomes.dictionary)
        for name in ("result", "completed"):
            columns[name] = pc.if_else(later, pa.scalar(None, columns[name].type), columns[name])
        return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)


def _last_cut(path: Path) -> _Cut | None:
    """The last cut that a file has; None if it is whole. Raises Damaged for rows that belong to no cut."""
    stream = StreamReader(path, HISTORY)
    if stream.is_complete:
        return None
    cut: _Cut = (0, [])
    for batch in stream:
        if CUT in stream.metadata:
            cut = _decode(stream.metadata[CUT])
        elif batch.num_rows:
            raise Damaged("it was cut off, and does not say which operations were under way")
    return cut
