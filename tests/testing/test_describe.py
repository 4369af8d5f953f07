"""Values as a paper writes them."""

from __future__ import annotations

from typing import Any

import pytest

from framework import Command, DurableLog, DurableMap, Message, Ok, Query, Record, Reply, StateMachine
from framework.core.durable import LogWritten, MapWritten, MountDropped, ScalarSet
from framework.replication.sessions import OPEN, Answer
from framework.testing.describe import describe, describe_change, describe_time


class Ballot(Record, order=True):
    round: int
    node: str


class Point(Record):
    x: int = 0
    y: int = 0

    def __str__(self) -> str:
        return f"<{self.x}, {self.y}>"


class Accept(Message):
    ballot: Ballot
    value: Any
    at: Point = Point()
    urgent: bool = False


WRITE = StateMachine.command("write", "x", "a b")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Accept(Ballot(2, "n3"), None), "Accept(ballot=2.n3, value=None)"),
        (Accept(Ballot(2, "n3"), "a", Point(1, 2), True), "Accept(ballot=2.n3, value=a, at=<1, 2>, urgent=True)"),
        (Ok(), "Ok()"),
        (Ok("hello"), "Ok(value=hello)"),
        ("two words", '"two words"'),
        ("3", '"3"'),
        ("None", '"None"'),
        ("", '""'),
        ("2.n3", "2.n3"),
        (b"", "b''"),
        (b"plain", "b'plain'"),
        (b"\x93", "1 byte"),
        (b"x" * 24, "24 bytes"),
        (("a", 1, (None, True)), "[a, 1, [None, True]]"),
        (frozenset(("b", "a")), "{a, b}"),
        ({"a": Ballot(1, "n1")}, "{a: 1.n1}"),
        (DurableLog(3, [1, 2]), "[1, 2]"),
        (DurableMap({"a": 1}), "{a: 1}"),
        pytest.param(StateMachine(), "a StateMachine", id="a state machine"),
        (1.5, "1.5"),
        (Command(7, 2, WRITE), 'write x "a b" #7.2'),
        (Command(7, 2, StateMachine.command("read", "x", None)), "read x #7.2"),
        (Command(7, 2, StateMachine.command("sum", None, (1, "a"))), 'sum [1,"a"] #7.2'),
        (Command(7, 2, b"x"), "1 byte #7.2"),
        (Command(0, OPEN, b""), "open a session"),
        (Query(3, StateMachine.command("read", "x", None)), "Query(operation=3, read x)"),
        (Answer(3, b"\xa1a"), 'Answer(operation=3, result="a")'),
        (Reply(1, OPEN, b"", 4), "Reply(operation=1, sequence=0, session=4)"),
        (Reply(1, 2, b"\xc0", 4), "Reply(operation=1, sequence=2, session=4, result=None)"),
        (Reply(1, 2, None, 4), "Reply(operation=1, sequence=2, session=4, expired)"),
        (Reply(1, 2, b"\xc1", 4), "Reply(operation=1, sequence=2, session=4, result=1 byte)"),
        (Reply(1, 2, b"\xc7\x02\x01no", 4), "Reply(operation=1, sequence=2, session=4, result=refused: no)"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_value(value: Any, text: str) -> None:
    assert describe(value) == text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (ScalarSet("", "voted_for", "n2"), "voted_for=n2"),
        (ScalarSet("inner/deep", "promised", Ballot(1, "n1")), "inner/deep/promised=1.n1"),
        (LogWritten("", "log", 3, 5, ("a",)), "log[5:]=[a]"),
        (MapWritten("", "votes", (("x", 1), ("y", 2)), ("z", "x")), "votes[z] deleted, votes[x]=1, votes[y]=2"),
        (MountDropped("inner"), "inner dropped"),
    ],
)
def test_a_change(change: Any, text: str) -> None:
    assert describe_change(change) == text


@pytest.mark.parametrize(("time", "text"), [(0, "0ms"), (50_000_000, "50ms"), (1_264_787_311, "1264.787ms")])
def test_a_time(time: int, text: str) -> None:
    assert describe_time(time) == text
