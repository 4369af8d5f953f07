"""Reads that go without the log (thesis, section 6.4), and administrative operations, as their clients see them."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from framework.core.client import Fail, Ok, Operation
from framework.replication.administration import Administer, Administered, Administrator
from framework.replication.leader_client import NotLeader
from framework.replication.sessions import OPEN, Answer, Command, Query, ReadingConfig, Reply, Request, SessionClient
from framework.replication.state_machine import StateMachineChoice
from tests.core.bench import Bench, Completed, Sent
from tests.replication.machines import Register

SERVERS = ("n1", "n2", "n3")
RETRY = 500_000_000


def client(read_mode: Literal["log", "read_index", "lease"]) -> Bench:
    config = ReadingConfig(state_machine=StateMachineChoice(Register), read_mode=read_mode)
    return Bench(SessionClient, config, node="c1", peers=SERVERS)


def begin(bench: Bench, operation: Operation) -> list[Any]:
    bench.node._begin(operation, 0)
    return bench.finish()


def total(operation: int) -> Operation:
    return Operation(operation, "total")


def test_a_machine_says_which_operations_change_nothing() -> None:
    assert Register.queries == {"total"}
    assert Register.operations == ("add", "total", "echo")


def test_in_the_log_a_read_is_a_command() -> None:
    bench = client("log")

    assert begin(bench, total(1)) == [Sent("n1", Request(1, Command(0, OPEN, b"")))]


@pytest.mark.parametrize("read_mode", ["read_index", "lease"])
def test_without_the_log_a_read_needs_no_session(read_mode: Literal["read_index", "lease"]) -> None:
    bench = client(read_mode)
    body = Register.command("total", None, None)

    assert begin(bench, total(1)) == [Sent("n1", Query(1, body))]
    assert bench.deliver(("n1", NotLeader(1, 0, "n3"))) == [Sent("n3", Query(1, body))]
    assert bench.deliver(("n3", Answer(1, Register().apply(body)))) == [Completed(1, Ok(0))]
    assert bench.deliver(("n3", Answer(1, Register().apply(body)))) == []


def test_a_read_between_two_commands_leaves_their_numbers_alone() -> None:
    bench, body = client("read_index"), Register.command("add", None, 1)
    begin(bench, Operation(1, "add", None, 1))
    bench.deliver(("n1", Reply(1, OPEN, b"", 41)))
    bench.deliver(("n1", Reply(1, 1, Register().apply(body), 41)))
    begin(bench, total(2))

    assert bench.deliver(("n1", Reply(2, 0, b"", 99))) == []  # no answer to a read
    bench.deliver(("n1", Answer(2, Register().apply(Register.command("total", None, None)))))

    assert begin(bench, Operation(3, "add", None, 1)) == [Sent("n1", Request(3, Command(41, 2, body)))]


def test_an_administrator_asks_the_leader_until_it_is_done() -> None:
    bench = Bench(Administrator, ReadingConfig(), node="admin", peers=SERVERS)
    wish = Administer(1, "add_node", "n4")

    assert begin(bench, Operation(1, "add_node", None, "n4")) == [Sent("n1", wish)]
    assert bench.deliver(("n1", NotLeader(1, 0, "n2"))) == [Sent("n2", wish)]
    assert bench.advance(RETRY) == [Sent("n3", wish)]
    assert bench.deliver(("n1", Administered(1))) == [Completed(1, Ok())]
    assert begin(bench, Operation(2, "add_node", None, "n5")) == [Sent("n1", Administer(2, "add_node", "n5"))]
    assert bench.deliver(("n1", Administered(1))) == []  # of before
    assert bench.deliver(("n1", Administered(2, "n5 is unknown"))) == [Completed(2, Fail("n5 is unknown"))]
