"""The first difference between two traces of supposedly the same run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Difference:
    """The first differing row: its number, from 0, and the row in each table (None: that table has ended)."""

    number: int
    first: dict[str, Any] | None
    second: dict[str, Any] | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns in which the two rows differ; empty if one of them is missing."""
        if self.first is None or self.second is None:
            return ()
        return tuple(name for name, value in self.first.items() if value != self.second[name])


def first_difference(first: pa.Table, second: pa.Table) -> Difference | None:
    """Returns the first row in which two tables with the same columns differ; None if their rows are equal."""
    shared = min(len(first), len(second))
    number = shared
    for name in first.column_names:
        same = _equal(first[name].slice(0, number), second[name].slice(0, number))
        wrong = np.flatnonzero(~same)
        if len(wrong):
            number = int(wrong[0])
    if number == shared and len(first) == len(second):
        return None
    return Difference(number, _row(first, number), _row(second, number))


def until(table: pa.Table, time: int) -> pa.Table:
    """Returns the events of a table up to and including `time`, in nanoseconds."""
    return table.filter(pc.less_equal(table["time"], time))


def _equal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns for each position whether the values are equal; two nulls are."""
    one, other = _plain(one), _plain(other)
    same = pc.fill_null(pc.equal(one, other), False)
    return np.asarray(pc.or_(same, pc.and_(pc.is_null(one), pc.is_null(other))).to_numpy(), dtype=bool)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column.cast(pa.large_binary()) if pa.types.is_binary(column.type) else column


def _row(table: pa.Table, number: int) -> dict[str, Any] | None:
    if number >= len(table):
        return None
    row: dict[str, Any] = table.slice(number, 1).to_pylist()[0]
    return row
