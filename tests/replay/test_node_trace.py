"""The bytes of a message, by the send that carries them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa

from framework.replay.node_trace import NodeTrace
from framework.trace.reader import Run

COLUMNS = ("time", "seq", "node", "kind", "peer", "message", "cause", "size", "payload")


def record(*rows: tuple[Any, ...]) -> NodeTrace:
    columns = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    columns["payload"] = pa.array(columns["payload"], pa.binary())  # type: ignore[assignment]
    return NodeTrace(cast(Run, SimpleNamespace(events=pa.table(columns))))


def test_the_bytes_of_a_message_stand_with_its_send() -> None:
    sent = record(
        (1, 5, "n1", "send", "n2", "Ask", -1, 3, b"old"),
        (1, 7, "n1", "send", "n2", "Ask", -1, 3, b"abc"),
        (2, 9, "n2", "deliver", "n1", "Ask", 7, 3, None),
    )
    assert (sent.sent(5), sent.sent(7)) == (b"old", b"abc")
    assert sent.sent(6) is sent.sent(9) is None
