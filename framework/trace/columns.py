"""Packed rows of events as Arrow columns.

Columns are made of buffers, and read as texts or by DLPack: at its first conversion of values, or of a column to NumPy,
Arrow imports pandas wherever that is installed, which costs each process of a run up to half a second.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from framework.trace.schema import EVENT_FIELDS, KIND_NAMES, NO_NAME


def texts(values: Sequence[str | None]) -> pa.StringArray:
    """Returns the values as a string column. Raises TypeError for a value that is neither a text nor None."""
    wrong = set(map(type, values)) - {str, type(None)}
    if wrong:
        raise TypeError(f"a column of texts cannot hold a {min(kind.__name__ for kind in wrong)}")
    encoded = [b"" if value is None else value.encode() for value in values]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [_valid(values), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def integers(values: Sequence[int | None], kind: type[np.signedinteger[Any]] = np.int64) -> pa.Array:
    """Returns the values as a column. Raises TypeError for a value that is neither an int nor None, OverflowError for
    one that `kind` cannot hold."""
    wrong = set(map(type, values)) - {int, type(None)}
    if wrong:
        raise TypeError(f"a column of integers cannot hold a {min(kind.__name__ for kind in wrong)}")
    if None not in values:
        return numbers(np.array(values, kind))
    return numbers(
        np.array([0 if value is None else value for value in values], kind),
        np.array([value is None for value in values]),
    )


def _valid(values: Sequence[object]) -> pa.Buffer | None:
    """Returns the bits of the values that are not None; None if there is no other."""
    if None not in values:
        return None
    return pa.py_buffer(np.packbits([value is not None for value in values], bitorder="little"))


def numbers(values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any] | None = None) -> pa.Array:
    """Returns the values as a column of their type; null where `missing` is true."""
    valid = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    buffers = [valid, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers)


def dictionary_places(column: pa.DictionaryArray) -> tuple[np.ndarray[Any, Any], list[str | None]]:
    """Returns the place of each value in the dictionary, and the dictionary, of which the last value is None: nulls
    have its place."""
    names = column.dictionary.to_pylist()
    places = column.indices.cast(pa.int32()).fill_null(integers([len(names)], np.int32)[0])
    return np.from_dlpack(places), [*names, None]


def words(column: pa.Array) -> list[str | None]:
    """Returns the texts of a column with few distinct ones; each distinct text is in memory once, whatever holds it."""
    if not isinstance(column, pa.DictionaryArray):
        return [None if word is None else sys.intern(word) for word in column.to_pylist()]
    places, names = dictionary_places(column)
    distinct = [None if name is None else sys.intern(name) for name in names]
    return [distinct[place] for place in places.tolist()]


def names_of(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Returns the values of a dictionary column."""
    chunks = [dictionary_places(chunk) for chunk in column.chunks]
    return np.concatenate([np.array(names, object)[places] for places, names in chunks] or [np.array([], object)])


def integers_of(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Returns the values of a column of integers without nulls."""
    return np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks] or [np.array([], np.int64)])


_KINDS = texts(KIND_NAMES)


class NameColumns:
    """Turns name indices into dictionary columns. The dictionary is rebuilt only when `names` has grown."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._dictionary = texts(names)

    def column(self, indices: np.ndarray[Any, Any]) -> pa.DictionaryArray:
        """Returns the names of `indices`; `NO_NAME` becomes null."""
        if len(self._dictionary) != len(self._names):
            self._dictionary = texts(self._names)
        nameless = indices == NO_NAME
        # Indices under nulls are within bounds too: some readers check them.
        column = numbers(np.where(nameless, 0, indices).astype(np.int32), nameless)
        return pa.DictionaryArray.from_arrays(column, self._dictionary)


def unpacked(packed: bytes) -> np.ndarray[Any, Any]:
    """Returns `EVENT_ROW` records as a structured array, without a copy."""
    return np.frombuffer(packed, EVENT_FIELDS)


def event_batch(
    rows: np.ndarray[Any, Any], payload: bytes, operations: bytes, names: NameColumns, schema: pa.Schema
) -> pa.RecordBatch:  # fmt: skip
    """Returns a record batch of `rows` (dtype `EVENT_FIELDS`). `payload` joins their payloads in the order of the rows.

    `operations` are joined `OPERATION` records; those of other rows are ignored.
    """
    columns = [
        numbers(rows["time"]),
        numbers(rows["seq"]),
        names.column(rows["node"]),
        pa.DictionaryArray.from_arrays(numbers(rows["kind"].astype(np.int8)), _KINDS),
        names.column(rows["peer"]),
        names.column(rows["message"]),
        _operations(rows["seq"], operations),
        numbers(rows["cause"], rows["cause"] < 0),
        numbers(rows["size"], rows["size"] < 0),
        _binary(rows["payload_length"], payload),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _operations(seqs: np.ndarray[Any, Any], packed: bytes) -> pa.Array:
    """Returns the operation of each event; null if it has none. `seqs` must increase."""
    pairs = np.frombuffer(packed, np.dtype("<i8")).reshape(-1, 2)
    values, missing = np.zeros(len(seqs), np.int64), np.ones(len(seqs), bool)
    if len(seqs):
        places = np.minimum(np.searchsorted(seqs, pairs[:, 0]), len(seqs) - 1)
        own = seqs[places] == pairs[:, 0]
        values[places[own]], missing[places[own]] = pairs[own, 1], False
    return numbers(values, missing)


def _binary(lengths: np.ndarray[Any, Any], payload: bytes) -> pa.BinaryArray:
    """Returns one value per length, cut from `payload` in order; null for a negative length."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(np.maximum(lengths, 0), out=offsets[1:])
    valid = np.packbits(lengths >= 0, bitorder="little")
    buffers = [pa.py_buffer(valid), pa.py_buffer(offsets), pa.py_buffer(payload)]
    return pa.Array.from_buffers(pa.binary(), len(lengths), buffers)
