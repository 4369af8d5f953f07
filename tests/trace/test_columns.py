"""Columns read back: dictionaries in chunks that differ, nulls, and slices."""

from __future__ import annotations

import pyarrow as pa

from framework.trace.columns import dictionary_places, integers_of, names_of, words


def test_a_null_has_the_place_behind_the_dictionary_in_a_slice_too() -> None:
    column = pa.array(["a", "b", None, "b"]).dictionary_encode()
    places, names = dictionary_places(column.slice(1))
    assert names == ["a", "b", None]
    assert places.tolist() == [1, 2, 1]


def test_chunks_with_different_dictionaries_and_without_values_are_joined() -> None:
    kind = pa.dictionary(pa.int32(), pa.string())
    chunks = [pa.array(values, pa.string()).dictionary_encode() for values in (["a", "b"], [], ["b", None])]
    assert names_of(pa.chunked_array(chunks, kind)).tolist() == ["a", "b", "b", None]
    assert names_of(pa.chunked_array([], kind)).tolist() == []
    assert integers_of(pa.chunked_array([[1, 2], [], [3]], pa.int64())).tolist() == [1, 2, 3]
    assert integers_of(pa.chunked_array([], pa.int64())).tolist() == []


def test_words_are_the_same_texts_from_a_dictionary_and_without_and_each_is_one_object() -> None:
    plain = pa.array(["read", None, "write", "read"])
    for column in (plain, plain.dictionary_encode(), plain.slice(0, 4)):
        found = words(column)
        assert found == ["read", None, "write", "read"] and found[0] is found[3]
    assert words(plain.dictionary_encode().slice(1, 2)) == [None, "write"] and words(plain.slice(4)) == []
    assert words(plain)[2] is words(plain.dictionary_encode())[2]
