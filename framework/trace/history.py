"""The history of a run folder: complete, or cut at the last consistent point recorded by the files of a killed run.

Rows are written when operations end. A file that its writer closed has all of them. An unfinished file has, with each
batch, the operations then under way (`recorder.CUT`): together with the rows so far they form a consistent cut, exactly
the operations that clients had seen by that time. With several client processes, the earliest of their last cuts
applies to all: operations completed later count as under way, and operations invoked later are left out.
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
    """Returns the history files of a run folder: one, or for a killed run one per client process."""
    whole = folder / "history.arrow"
    return [whole] if whole.exists() else sorted(folder.glob("history-*.arrow"))


def history_digest(batches: Iterable[pa.RecordBatch]) -> str:
    """Returns the SHA-256 of a whole history, in hex: the digest of its writer, and of a run with `trace=history`."""
    whole = hashlib.sha256()
    for batch in batches:
        columns = [batch[name].to_pylist() for name in HISTORY.names]
        whole.update(b"".join(map(msgspec.msgpack.encode, zip(*columns, strict=True))))
    return whole.hexdigest()


class HistoryReader:
    """Iterates over the operations in the files of one history, batch by batch. Only the last batch is in memory.

    `cut` is None for a whole history. Otherwise the history ends at that time, in nanoseconds of the run, and
    operations under way then come last, with unknown outcome. Raises Damaged and OSError at once or when a batch is
    taken.
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
        """Returns what clients had seen of these operations before the cut. A single file ends at its own cut."""
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
    """Returns the last cut of a file; None if the file is complete. Raises Damaged for rows that belong to no cut."""
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
