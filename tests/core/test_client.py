"""Clients: one operation at a time, ended once."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.client import Client, Fail, Ok, Operation, OperationId, Unknown
from framework.core.errors import PluginError
from framework.core.message import Message, NodeId
from framework.core.node import handles
from tests.core.bench import Bench, Completed, Noted, Sent

SECOND = 1_000_000_000


class Ask(Message):
    operation: OperationId


class Answer(Message):
    operation: OperationId
    value: int


class Asker(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Ask(operation.id))

    @handles(Answer)
    def on_answer(self, sender: NodeId, answer: Answer) -> None:
        self.complete(answer.operation, Ok(answer.value))


def asker() -> Bench:
    return Bench(Asker, node="c1", peers=("n1", "n2"))


def invoke(bench: Bench, number: int, timeout: int = SECOND) -> list[Any]:
    bench.node._begin(Operation(number, "ask"), timeout)
    return bench.finish()


def test_an_operation_is_asked_and_completed() -> None:
    bench = asker()

    assert invoke(bench, 7) == [Sent("n1", Ask(7))]
    assert bench.node.current == 7
    assert bench.deliver(("n1", Answer(7, 3))) == [Completed(7, Ok(3))]
    assert bench.node.current is None


def test_a_second_completion_is_noted_and_otherwise_ignored() -> None:
    bench = asker()
    invoke(bench, 7)

    left = bench.deliver(("n1", Answer(7, 3)), ("n1", Answer(7, 4)))

    assert left == [Completed(7, Ok(3)), Noted("late_completion", {"operation": 7})]


def test_a_late_answer_cannot_complete_the_next_operation() -> None:
    bench = asker()
    invoke(bench, 7)
    bench.deliver(("n1", Answer(7, 3)))
    invoke(bench, 8)

    assert bench.deliver(("n1", Answer(7, 3))) == [Noted("late_completion", {"operation": 7})]
    assert bench.node.current == 8


def test_an_operation_that_outlives_its_time_out_ends_as_unknown() -> None:
    bench = asker()
    invoke(bench, 7, timeout=2 * SECOND)

    assert bench.advance(2 * SECOND - 1) == []
    assert bench.advance(1) == [Completed(7, Unknown("no answer within 2s"))]
    assert bench.deliver(("n1", Answer(7, 3))) == [Noted("late_completion", {"operation": 7})]


def test_a_completed_operation_does_not_time_out() -> None:
    bench = asker()
    invoke(bench, 7)
    bench.deliver(("n1", Answer(7, 3)))

    assert bench.advance(10 * SECOND) == []
    assert bench.host.timers == {}


def test_without_a_time_out_an_operation_waits_for_ever() -> None:
    bench = asker()
    invoke(bench, 7, timeout=0)

    assert bench.advance(1000 * SECOND) == []


def test_after_unknown_a_new_instance_starts_afresh() -> None:
    bench = asker()
    invoke(bench, 7)
    bench.advance(SECOND)
    first = bench.node

    bench.boot()

    assert bench.node is not first and bench.node.current is None
    assert invoke(bench, 8) == [Sent("n1", Ask(8))]


def test_nothing_under_way_cannot_be_completed() -> None:
    bench = asker()
    bench.node.complete(None, Ok())

    assert bench.finish() == [Noted("late_completion", {"operation": None})]


def test_an_outcome_is_ok_fail_or_unknown() -> None:
    bench = asker()
    invoke(bench, 7)

    with pytest.raises(
        PluginError, match=r"Asker: completes an operation with a int\. Write Ok\(value\), Fail\(why\) or"
    ):
        bench.node.complete(7, 3)
    bench.node.complete(7, Fail("no such key"))
    assert bench.finish() == [Completed(7, Fail("no such key"))]


def test_a_client_without_invoke_says_what_to_write() -> None:
    class Silent(Client):
        pass

    with pytest.raises(
        PluginError, match=r"Silent: a client needs invoke\(operation\)\. Write def invoke\(self, operation"
    ):
        invoke(Bench(Silent), 1)


def test_an_async_invoke_is_refused_for_it_would_never_run() -> None:
    with pytest.raises(PluginError, match=r"Waits\.invoke: invoke cannot be async\. Write def"):

        class Waits(Client):
            async def invoke(self, operation: Operation) -> None:  # type: ignore[override]
                ...
