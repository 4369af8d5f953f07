"""Sessions: each command executed once, whatever the network does to requests and replies (thesis, section 6.3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.core.client import Fail, Ok, Operation, Unknown
from framework.core.message import Message
from framework.core.time import Duration
from framework.replication.leader_client import NotLeader, RetryConfig
from framework.replication.sessions import (
    OPEN,
    Command,
    Executed,
    ReplicatedConfig,
    ReplicatedMachine,
    Reply,
    Request,
    SessionClient,
)
from framework.replication.state_machine import StateMachineChoice
from tests.core.bench import Bench, Completed, Sent
from tests.replication.machines import Register

SERVERS = ("n1", "n2", "n3")
RETRY, BACKOFF = 500_000_000, 20_000_000
CONFIG = ReplicatedConfig(
    state_machine=StateMachineChoice(Register), session=RetryConfig(retry=Duration("500ms"), backoff=Duration("20ms"))
)


def add(amount: int) -> bytes:
    return Register.command("add", None, amount)


class Group:
    """A replicated group as its clients see it: one log, one leader, the others know of it or not."""

    def __init__(self, leader: str = "n1", hint: str | None = "n1", max_sessions: int = 100_000) -> None:
        self.leader, self.hint = leader, hint
        self.machine = ReplicatedMachine(Register(), max_sessions)
        self.index = 0

    def answer(self, server: str, request: Request) -> Message:
        operation, command = request.operation, request.command
        if server != self.leader:
            return NotLeader(operation, command.sequence, self.hint)
        self.index += 1
        applied = self.machine.apply(self.index, command)
        return Reply(operation, command.sequence, applied.result, applied.session)

    @property
    def values(self) -> list[int]:
        machine = self.machine.machine
        assert isinstance(machine, Register)
        return machine.values


def client() -> Bench:
    return Bench(SessionClient, CONFIG, node="c1", peers=SERVERS)


def begin(bench: Bench, number: int, amount: int = 1, timeout: int = 0) -> list[Any]:
    bench.node._begin(Operation(number, "add", None, amount), timeout)
    return bench.finish()


def converse(bench: Bench, group: Group, left: list[Any]) -> list[Any]:
    """Answers every request at once until the client has nothing more to say; its completions."""
    completed: list[Any] = []
    while left:
        effect = left.pop(0)
        if isinstance(effect, Completed):
            completed.append(effect)
        elif isinstance(effect, Sent):
            assert isinstance(effect.message, Request)
            left += bench.deliver((effect.to, group.answer(effect.to, effect.message)))
    return completed


def test_the_first_operation_opens_a_session_and_the_next_ones_number_their_commands() -> None:
    bench, group = client(), Group()

    assert begin(bench, 7) == [Sent("n1", Request(7, Command(0, OPEN, b"")))]
    assert bench.deliver(("n1", Reply(7, OPEN, b"", 41))) == [Sent("n1", Request(7, Command(41, 1, add(1))))]
    assert bench.deliver(("n1", Reply(7, 1, group.machine.machine.apply(add(1)), 41))) == [Completed(7, Ok(1))]
    assert begin(bench, 8, 5) == [Sent("n1", Request(8, Command(41, 2, add(5))))]


def test_a_redirect_is_followed_at_once_and_remembered() -> None:
    bench, group = client(), Group(leader="n3", hint="n3")

    assert converse(bench, group, begin(bench, 1)) == [Completed(1, Ok(1))]
    assert [effect.to for effect in bench.left if isinstance(effect, Sent)] == ["n1", "n3", "n3"]
    assert begin(bench, 2)[0].to == "n3"


def test_without_a_known_leader_the_next_server_is_asked_after_the_backoff() -> None:
    bench = client()
    begin(bench, 1)

    assert bench.deliver(("n1", NotLeader(1, OPEN, None))) == []
    assert bench.advance(BACKOFF - 1) == []
    assert bench.advance(1) == [Sent("n2", Request(1, Command(0, OPEN, b"")))]


@pytest.mark.parametrize("hint", ["n1", "n9"])
def test_a_hint_that_names_itself_or_a_stranger_is_no_hint(hint: str) -> None:
    bench = client()
    begin(bench, 1)

    assert bench.deliver(("n1", NotLeader(1, OPEN, hint))) == []
    assert [effect.to for effect in bench.advance(BACKOFF)] == ["n2"]


def test_no_answer_sends_the_same_command_to_the_next_server_in_turn() -> None:
    bench = client()
    begin(bench, 1)

    left = bench.advance(4 * RETRY)

    assert [(effect.to, effect.message) for effect in left] == [
        (server, Request(1, Command(0, OPEN, b""))) for server in ("n2", "n3", "n1", "n2")
    ]


def test_one_thing_is_waited_for_at_a_time() -> None:
    """A redirect within the backoff does not lead to a second request when the backoff is over."""
    bench = client()
    begin(bench, 1)
    bench.deliver(("n1", NotLeader(1, OPEN, None)))
    bench.deliver(("n1", NotLeader(1, OPEN, "n3")))

    assert bench.advance(RETRY - 1) == []
    assert [effect.to for effect in bench.advance(1)] == ["n2"]  # the one after n1, whose turn it was


def test_servers_that_name_one_another_do_not_send_a_client_to_and_fro_for_ever() -> None:
    bench = client()
    left, asked = begin(bench, 1), []
    while left:
        (effect,) = left
        asked.append(effect.to)
        assert len(asked) < 10
        other = {"n1": "n2", "n2": "n1"}[effect.to]
        left = bench.deliver((effect.to, NotLeader(1, OPEN, other)))

    assert asked == ["n1", "n2", "n1", "n2"]
    assert [effect.to for effect in bench.advance(BACKOFF)] == ["n3"]


def test_a_leader_that_no_longer_answers_is_not_asked_again_when_its_turn_comes_next() -> None:
    bench = client()
    begin(bench, 1)
    bench.deliver(("n1", NotLeader(1, OPEN, "n2")))

    assert [effect.to for effect in bench.advance(RETRY)] == ["n3"]


def test_a_hint_that_stays_wrong_keeps_no_server_from_its_turn() -> None:
    bench, group = client(), Group(leader="n3", hint="n1")
    completed = converse(bench, group, begin(bench, 1))
    while not completed:
        assert bench.now < RETRY
        completed = converse(bench, group, bench.advance(BACKOFF))

    assert completed == [Completed(1, Ok(1))]


def test_a_retry_executes_once_and_repeats_the_answer() -> None:
    bench, group = client(), Group()
    converse(bench, group, begin(bench, 1))
    (sent,) = begin(bench, 2, 5)
    lost = group.answer("n1", sent.message)
    group.leader = group.hint = "n2"
    (again,) = bench.advance(RETRY)

    assert (again.to, again.message) == ("n2", sent.message)
    assert converse(bench, group, [again]) == [Completed(2, Ok(6))]
    assert isinstance(lost, Reply) and group.values == [0, 1, 6]


def test_answers_to_earlier_attempts_and_operations_are_ignored() -> None:
    bench, group = client(), Group()
    converse(bench, group, begin(bench, 1))
    begin(bench, 2)
    result = Register().apply(add(9))

    for sender, stale in [
        ("n1", Reply(1, 1, result, 1)),
        ("n1", Reply(2, 1, result, 1)),
        ("n1", Reply(1, OPEN, b"", 77)),
        ("n1", NotLeader(1, 1, "n3")),
        ("n3", NotLeader(2, 2, "n2")),  # not the one that was asked
    ]:
        assert bench.deliver((sender, stale)) == []
    assert (bench.node.session, bench.node.leader, bench.node.asking) == (1, "n1", 2)


def test_a_second_session_that_a_retry_opened_is_left_alone() -> None:
    bench = client()
    begin(bench, 1)
    bench.advance(RETRY)
    bench.deliver(("n1", Reply(1, OPEN, b"", 41)))

    assert bench.deliver(("n2", Reply(1, OPEN, b"", 42))) == []
    assert bench.node.session == 41


def test_an_expired_session_is_unknown_for_an_earlier_attempt_may_have_been_executed() -> None:
    bench, group = client(), Group(max_sessions=1)
    converse(bench, group, begin(bench, 1))
    other = client()
    converse(other, group, begin(other, 2))  # the table holds one

    assert converse(bench, group, begin(bench, 3)) == [Completed(3, Unknown("the session expired"))]
    bench.boot()
    assert converse(bench, group, begin(bench, 4)) == [Completed(4, Ok(3))]
    assert group.values == [0, 1, 2, 3]


def test_what_the_state_refuses_fails() -> None:
    bench, group = client(), Group()

    assert converse(bench, group, begin(bench, 1, -5)) == [Completed(1, Fail("cannot take away"))]
    assert group.values == [0]


def test_a_time_out_retires_the_process_and_its_successor_opens_a_session_of_its_own() -> None:
    bench, group = client(), Group()
    converse(bench, group, begin(bench, 1))
    (late,) = begin(bench, 2, 5, timeout=RETRY // 2)
    assert bench.advance(RETRY // 2) == [Completed(2, Unknown("no answer within 250ms"))]

    bench.boot()
    left = begin(bench, 3, 7)
    stale = group.answer("n1", late.message)  # the old process's command takes effect now
    assert bench.deliver(("n1", stale)) == []

    assert converse(bench, group, left) == [Completed(3, Ok(13))]
    assert group.values == [0, 1, 6, 13]
    assert bench.node.session != 1


# Whatever the network does.


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_every_operation_is_executed_exactly_once(data: st.DataObject) -> None:
    """Requests and replies are lost, repeated and reordered, leaders change; five operations in a row all end Ok."""
    bench, group = client(), Group()
    flying: list[tuple[str, str, Any]] = []  # (kind, server, message)

    def collect(left: list[Any]) -> list[Completed]:
        flying.extend(("request", effect.to, effect.message) for effect in left if isinstance(effect, Sent))
        return [effect for effect in left if isinstance(effect, Completed)]

    choices = data.draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), max_size=60))
    ended: list[Completed] = []
    number = 0
    for dice, pick in [*choices, *[(6, 0)] * 400]:
        if bench.node.current is None:
            if number == 5:
                break
            number += 1
            ended += collect(begin(bench, number))
        elif dice == 0:
            group.leader = SERVERS[pick % 3]
            group.hint = (None, *SERVERS)[pick % 4]
        elif dice == 1 or not flying:
            ended += collect(bench.advance(RETRY))
        else:
            kind, server, message = flying[pick % len(flying)]
            if dice != 2:  # 2 repeats it
                flying.remove((kind, server, message))
            if dice == 3:
                continue  # lost
            if kind == "request":
                flying.append(("reply", server, group.answer(server, message)))
            else:
                ended += collect(bench.deliver((server, message)))

    assert ended == [Completed(number, Ok(number)) for number in range(1, 6)]
    assert group.values == [0, 1, 2, 3, 4, 5]


# The table.


class NaiveTable:
    """Keeps every answer of every session by its number, and when each session was last heard of."""

    def __init__(self, limit: int) -> None:
        self.register, self.limit = Register(), limit
        self.answers: dict[int, dict[int, bytes]] = {}
        self.heard: dict[int, int] = {}

    def apply(self, index: int, command: Command) -> bytes | None:
        if command.sequence == OPEN:
            self.answers[index], self.heard[index] = {}, index
            if len(self.heard) > self.limit:
                oldest = min(self.heard, key=lambda session: self.heard[session])
                del self.heard[oldest], self.answers[oldest]
            return b""
        if command.session not in self.heard:
            return None
        self.heard[command.session] = index
        answers = self.answers[command.session]
        if command.sequence not in answers:
            answers[command.sequence] = self.register.apply(command.body)
        return answers[command.sequence]


@settings(max_examples=150, deadline=None)
@given(
    actions=st.lists(st.tuples(st.sampled_from(["open", "next", "retry", "snapshot", "copy"]), st.integers(0, 5)), max_size=40),
    limit=st.integers(1, 3),
)  # fmt: skip
def test_the_table_is_its_naive_twin_through_snapshots_and_copies(actions: list[tuple[str, int]], limit: int) -> None:
    machine, naive = ReplicatedMachine(Register(), limit), NaiveTable(limit)
    opened: list[int] = []
    sequences: dict[int, int] = {}
    for index, (action, pick) in enumerate(actions, start=1):
        if action == "snapshot":
            twin = ReplicatedMachine(Register(), limit)
            twin.restore(machine.snapshot())
            assert twin == machine and twin.snapshot() == machine.snapshot()
            machine = twin
        elif action == "copy":
            machine = machine.copy()
        elif action == "open" or not opened:
            assert machine.apply(index, Command(0, OPEN, b"")) == Executed(
                index, naive.apply(index, Command(0, OPEN, b""))
            )
            opened.append(index)
            sequences[index] = 0
        else:
            session = opened[pick % len(opened)]
            if action == "next" or not sequences[session]:
                sequences[session] += 1
            command = Command(session, sequences[session], add(pick))
            applied = machine.apply(index, command)
            assert (applied.session, applied.result) == (session, naive.apply(index, command))
    assert machine.machine == naive.register
    assert list(machine._sessions) == sorted(naive.heard, key=lambda session: naive.heard[session])


def test_an_earlier_number_is_never_executed_again() -> None:
    machine = ReplicatedMachine(Register())
    machine.apply(1, Command(0, OPEN, b""))
    machine.apply(2, Command(1, 1, add(5)))
    machine.apply(3, Command(1, 2, add(5)))

    assert machine.apply(4, Command(1, 1, add(5))).again
    assert machine.machine.snapshot() == b"\x93\x00\x05\x0a"


def test_copies_share_nothing() -> None:
    machine = ReplicatedMachine(Register())
    machine.apply(1, Command(0, OPEN, b""))
    twin = machine.copy()
    twin.apply(2, Command(1, 1, add(5)))

    assert twin != machine and machine.machine == Register()
    assert machine != "something else"
