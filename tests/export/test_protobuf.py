"""The encoder agrees with Google's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import DebugAnnotation, TrackEvent

from framework.export.protobuf import double, fixed64, integer, message, text, varint, varints

I64 = st.integers(-(1 << 63), (1 << 63) - 1)


@given(I64, st.floats(allow_nan=False), st.text(), st.lists(st.integers(0, (1 << 64) - 1)))
def test_fields_are_read_back(number: int, real: float, word: str, flows: list[int]) -> None:
    annotations = [integer(4, number), double(5, real), text(6, word)]
    content = b"".join(message(4, one) for one in annotations) + b"".join(fixed64(47, flow) for flow in flows)
    event = TrackEvent()
    event.ParseFromString(content)
    first, second, third = event.debug_annotations
    assert (first.int_value, second.double_value, third.string_value) == (number, real, word)
    assert list(event.flow_ids) == flows


def test_a_lone_surrogate_does_not_break_the_text() -> None:
    annotation = DebugAnnotation()
    annotation.ParseFromString(text(6, "a\ud800b"))
    assert annotation.string_value == "a?b"


@given(st.lists(I64))
def test_a_column_is_encoded_as_its_numbers_are(numbers: list[int]) -> None:
    expected = [varint(number) if number >= 0 else b"" for number in numbers]
    assert varints(np.array(numbers, np.int64)) == expected
