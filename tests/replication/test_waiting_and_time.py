"""Operations that wait, and the time of a replicated machine: the session table, the requests, the leader's stamps."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.errors import PluginError, PluginFailed
from framework.core.message import Config
from framework.core.value import Value
from framework.replication.command_clock import CommandClock
from framework.replication.parent_port import Answered, Applied, check_begins_behind, events_of
from framework.replication.pending import PendingRequest, PendingRequests
from framework.replication.sessions import (
    OPEN,
    PARENT,
    TICK,
    Command,
    Executed,
    LateAnswer,
    MachineClock,
    ReplicatedConfig,
    ReplicatedMachine,
    Stamp,
)
from framework.replication.state_machine import DEFERRED, PENDING, Caller, Refused, StateMachine, operation, query


class Door(StateMachine):
    """Opens for one after the other; who has passed closes it behind them, or time does, 100 later."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self.inside = 0
        self.closes = 0
        self.waiting: list[Caller] = []

    @operation
    def enter(self, key: str | None, argument: Value) -> Value:
        if self.inside:
            self.waiting.append(self.caller)
            return PENDING
        return self.open()

    @operation
    def leave(self, key: str | None, argument: Value) -> Value:
        self.close()
        return self.now

    @operation
    def enter_and_answer(self, key: str | None, argument: Value) -> Value:
        self.answer(self.caller, "at once")
        return PENDING

    @query
    def look(self, key: str | None, argument: Value) -> Value:
        return PENDING if argument else self.inside

    def open(self) -> int:
        self.inside += 1
        self.closes = self.now + 100
        return self.inside

    def close(self) -> None:
        self.closes = 0
        if self.waiting:
            self.answer(self.waiting.pop(0), self.open())
        else:
            self.inside = 0

    def next_deadline(self) -> int | None:
        return self.closes or None

    def on_deadline(self) -> None:
        self.close()

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode((self.inside, self.closes, self.waiting))

    def restore(self, snapshot: bytes) -> None:
        kind = tuple[int, int, list[Caller]]
        self.inside, self.closes, self.waiting = msgspec.msgpack.decode(snapshot, type=kind)


def call(function: str, argument: Value = None) -> bytes:
    return Door.command(function, None, argument)


def replicated() -> tuple[ReplicatedMachine, int, int]:
    """A machine with two open sessions."""
    machine = ReplicatedMachine(Door())
    sessions = [machine.apply(index, Command(0, OPEN, b"", stamp(0))).session for index in (1, 2)]
    return machine, sessions[0], sessions[1]


def stamp(elapsed: int, term: int = 1, node: str = "", start: int = 1) -> Stamp:
    return Stamp(elapsed, term, node, start)


def encoded(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


def test_an_operation_that_waits_is_answered_by_a_later_command() -> None:
    machine, one, two = replicated()
    assert machine.apply(3, Command(one, 1, call("enter"))) == Executed(one, encoded(1))
    assert machine.apply(4, Command(two, 1, call("enter"))) == Executed(two, DEFERRED, waits=True)
    assert machine.apply(5, Command(two, 1, call("enter"))) == Executed(two, DEFERRED, again=True, waits=True)
    left = machine.apply(6, Command(one, 2, call("leave"), stamp=stamp(10)))
    assert left.answers == (LateAnswer(Caller(two, 1), encoded(2)),) and left.result == encoded(10)
    assert machine.apply(7, Command(two, 1, call("enter"))) == Executed(two, encoded(2), again=True)


def test_an_operation_may_answer_itself() -> None:
    machine, one, _ = replicated()
    executed = machine.apply(3, Command(one, 1, call("enter_and_answer")))
    assert (executed.result, executed.waits) == (encoded("at once"), False)


def test_time_passes_by_the_stamps_and_lets_deadlines_pass() -> None:
    machine, one, two = replicated()
    machine.apply(3, Command(one, 1, call("enter"), stamp=stamp(5)))
    machine.apply(4, Command(two, 1, call("enter"), stamp=stamp(5)))
    assert machine.until_deadline() == 95
    assert machine.apply(5, Command(TICK, 1, b"", stamp=stamp(94))) == Executed(TICK, None)
    assert machine.until_deadline() == 1
    assert machine.apply(6, Command(TICK, 1, b"", stamp=stamp(1))).answers == (LateAnswer(Caller(two, 1), encoded(2)),)
    assert machine.until_deadline() == 100


def test_a_retry_that_lets_time_pass_may_bring_its_own_answer() -> None:
    machine, one, two = replicated()
    machine.apply(3, Command(one, 1, call("enter")))
    machine.apply(4, Command(two, 1, call("enter")))
    executed = machine.apply(5, Command(two, 1, call("enter"), stamp=stamp(100)))
    assert (executed.result, executed.again, executed.waits) == (encoded(2), True, False)


def test_a_command_of_the_parent_waits_under_its_index() -> None:
    machine, one, _ = replicated()
    machine.apply(3, Command(one, 1, call("enter")))
    assert machine.apply(4, Command(PARENT, 1, call("enter"))).waits
    assert machine.apply(5, Command(one, 2, call("leave"))).answers == (LateAnswer(Caller(PARENT, 4), encoded(2)),)


STEPS = st.lists(
    st.tuples(st.sampled_from(["enter", "leave", "retry", "tick", "snapshot", "copy"]), st.integers(0, 1), st.integers(0, 60)),
    max_size=40,
)  # fmt: skip


@given(steps=STEPS)
def test_replicas_agree_through_snapshots_on_time_on_who_waits_and_on_answers(
    steps: list[tuple[str, int, int]],
) -> None:
    machine, *sessions = replicated()
    plain, *_ = replicated()
    sequences = [0, 0]
    for index, (action, which, elapsed) in enumerate(steps, start=3):
        if action in ("snapshot", "copy"):
            twin = machine.copy() if action == "copy" else ReplicatedMachine(Door())
            if action == "snapshot":
                twin.restore(machine.snapshot())
            assert twin == machine and twin.snapshot() == machine.snapshot()
            machine = twin
            continue
        if action == "tick":
            command = Command(TICK, 1, b"", stamp(elapsed))
        else:
            sequences[which] += action != "retry" or not sequences[which]
            body = call("enter" if action == "retry" else action)
            command = Command(sessions[which], sequences[which], body, stamp(elapsed))
        assert machine.apply(index, command) == plain.apply(index, command)
    assert machine == plain


class Forgetful(ReplicatedMachine):
    """Its snapshot lacks the sessions whose operation waits."""

    def snapshot(self) -> bytes:
        kept = {session: last for session, last in self._sessions.items() if last[1] != DEFERRED or last[0] == OPEN}
        return msgspec.msgpack.encode((self.machine.snapshot(), list(kept.items()), (self.machine._now, self._clock)))


@pytest.mark.parametrize(("kind", "keeps"), [(ReplicatedMachine, True), (Forgetful, False)])
def test_who_waits_survives_a_snapshot(kind: type[ReplicatedMachine], keeps: bool) -> None:
    machine = kind(Door())
    one, two = (machine.apply(index, Command(0, OPEN, b"")).session for index in (1, 2))
    machine.apply(3, Command(one, 1, call("enter")))
    machine.apply(4, Command(two, 1, call("enter")))
    twin = kind(Door())
    twin.restore(machine.snapshot())
    twin.apply(5, Command(one, 2, call("leave")))
    retried = twin.apply(6, Command(two, 1, call("enter")))
    assert (retried == Executed(two, encoded(2), again=True)) == keeps


def test_requests_wait_with_their_commands() -> None:
    pending: PendingRequests[int] = PendingRequests()
    request = PendingRequest("c1", 7, 1)
    pending.begin(request)
    pending.place(4, request, 1)
    assert pending.answered(4, Command(2, 1, b""), Executed(2, DEFERRED, waits=True)) == []
    assert pending.is_under_way(request)
    late = Executed(3, b"x", answers=(LateAnswer(Caller(2, 1), b"y"), LateAnswer(Caller(9, 9), b"z")))
    assert pending.answered(5, Command(3, 1, b""), late) == [(request, b"y", 2)]
    assert not pending.is_under_way(request) and pending.waiting == {}
    pending.waiting[Caller(2, 2)] = request
    pending.keep({}, ())
    assert pending.is_under_way(request)
    pending.clear()
    assert pending.waiting == {} and not pending.is_under_way(request)


def test_a_leader_stamps_the_time_since_its_previous_stamp_and_its_first_with_nothing() -> None:
    clock = CommandClock(3, "n2")
    assert clock.tick_after(None, 50) is None and clock.tick_after(10, 50) == 0
    assert clock.stamped(Command(1, 1, b"x"), 40).stamp == Stamp(0, 3, "n2", 0), "it does not measure yet"
    clock.start = 9
    assert clock.stamped(Command(1, 1, b"x"), 50) == Command(1, 1, b"x", Stamp(0, 3, "n2", 9))
    assert clock.stamped(Command(1, 2, b"x"), 57).stamp == Stamp(7, 3, "n2", 9)
    assert clock.tick_after(10, 60) == 7 and clock.tick_after(2, 60) == 0
    assert clock.tick(60) == Command(TICK, 1, b"", Stamp(3, 3, "n2", 9))


@pytest.mark.parametrize(
    ("stamps", "added"),
    [
        ([(1, 5, 1), (1, 5, 1), (1, 5, 1)], [0, 5, 5]),
        ([(1, 5, 1), (1, 5, 1), (2, 9, 3), (2, 9, 3)], [0, 5, 0, 9]),
        ([(1, 5, 1), (2, 9, 0), (2, 0, 4), (2, 9, 4)], [0, 0, 0, 9]),  # it measures once it knows where its part begins
        ([(2, 5, 1), (2, 5, 1), (1, 9, 1), (2, 5, 1)], [0, 5, 0, 0]),  # out of place: nothing more counts
        ([(1, 5, 1), (1, 5, 1), (2, 9, 2), (2, 9, 2)], [0, 5, 0, 0]),  # an earlier one within its part
        ([(2, 5, 1), (1, 5, 1), (3, 9, 3), (3, 9, 3)], [0, 0, 0, 9]),
    ],
)
def test_time_counts_once_whatever_the_order_of_leaders(stamps: list[tuple[int, int, int]], added: list[int]) -> None:
    clock = MachineClock()
    found = [
        clock.elapsed(index, Stamp(elapsed, term, "", start)) for index, (term, elapsed, start) in enumerate(stamps, 1)
    ]
    assert found == added


def test_an_operation_that_is_refused_has_answered_nobody_and_deadlines_before_it_have() -> None:
    class Fickle(Door):
        @operation
        def fail(self, key: str | None, argument: Value) -> Value:
            self.answer(self.waiting[0], "never")
            raise Refused("no")

    machine = ReplicatedMachine(Fickle())
    one, two, three = (machine.apply(index, Command(0, OPEN, b"", stamp(0))).session for index in (1, 2, 3))
    machine.apply(4, Command(one, 1, call("enter")))
    machine.apply(5, Command(two, 1, call("enter")))
    machine.apply(6, Command(three, 1, call("enter")))
    failed = machine.apply(7, Command(one, 2, call("fail"), stamp(100)))
    assert failed.answers == (LateAnswer(Caller(two, 1), encoded(2)),)


def test_a_group_that_starts_anew_counts_the_time_of_its_own_leaders() -> None:
    machine, one, _ = replicated()
    machine.apply(3, Command(one, 1, call("enter"), stamp(5, term=9)))
    twin = ReplicatedMachine(Door())
    twin.restore(machine.begin_anew(3))
    twin.apply(4, Command(TICK, 1, b"", stamp(5, term=1, start=4)))
    twin.apply(5, Command(TICK, 1, b"", stamp(7, term=1, start=4)))
    assert twin.until_deadline() == 93 and twin.latest_session == 2
    with pytest.raises(PluginError, match=r"its state has sessions up to 2\. Give the index"):
        check_begins_behind(1, twin)


def test_the_mistakes_of_a_machine_are_named() -> None:
    class Timeless(StateMachine):
        @operation
        def read(self, key: str | None, argument: Value) -> Value:
            return self.now

    with pytest.raises(PluginError, match=r"Timeless: reads `now`, but keeps no time\. Write keeps_time = True"):
        Timeless().apply(Timeless.command("read", None, None))

    class Stuck(Door):
        def on_deadline(self) -> None: ...

    machine = ReplicatedMachine(Stuck())
    machine.apply(1, Command(TICK, 1, b"", stamp(0)))
    machine.machine.closes = 5  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match="Stuck: next_deadline stays at 5, which on_deadline has reached"):
        machine.apply(2, Command(TICK, 1, b"", stamp=stamp(9)))
    with pytest.raises(PluginError, match="Door: look true: a query cannot wait"):
        replicated()[0].query(call("look", True))
    with pytest.raises(PluginError, match="Door: reads `caller` in a query"):
        _ = Door().caller
    with pytest.raises(PluginFailed, match="state_machine: none is chosen for a mounted group"):
        ReplicatedConfig().replicated_machine()


def test_a_query_and_a_deadline_have_no_caller_after_a_command_has_had_one() -> None:
    class Curious(Door):
        @query
        def who(self, key: str | None, argument: Value) -> Value:
            return self.caller.session

        def on_deadline(self) -> None:
            self.who(None, None)

    machine = ReplicatedMachine(Curious())
    machine.apply(1, Command(TICK, 1, b"", stamp(0)))
    machine.apply(2, Command(0, OPEN, b""))
    machine.apply(3, Command(2, 1, call("enter")))
    with pytest.raises(PluginError, match="Curious: reads `caller` in a query"):
        machine.query(call("who"))
    machine.apply(4, Command(2, 2, call("look")))
    with pytest.raises(PluginError, match="Curious: reads `caller` in a query"):
        machine.apply(5, Command(TICK, 1, b"", stamp(200)))


def test_a_parent_is_told_once_that_a_command_waits_and_later_its_result_under_its_index() -> None:
    waits = Executed(PARENT, DEFERRED, waits=True)
    assert list(events_of(4, Command(PARENT, 1, b"x"), waits, 1)) == [Applied(4, b"x", None, 1)]
    assert list(events_of(5, Command(2, 1, b"x"), Executed(2, b"r"), None)) == [Applied(5, b"x", b"r", None)]
    assert list(events_of(6, Command(2, 1, b"x"), Executed(2, b"r", again=True), None)) == [], "it has been told"
    late = (LateAnswer(Caller(2, 1), b"z"), LateAnswer(Caller(PARENT, 4), b"y"))
    assert list(events_of(9, Command(TICK, 1, b""), Executed(TICK, None, answers=late), None)) == [Answered(4, b"y")]


def test_a_parents_command_that_waits_is_done_with_at_once() -> None:
    pending: PendingRequests[int] = PendingRequests()
    request = PendingRequest("", -1, 1)
    pending.begin(request)
    pending.place(4, request, 1)
    waits = Executed(PARENT, DEFERRED, waits=True)
    assert pending.answered(4, Command(PARENT, 1, b""), waits) == [(request, DEFERRED, PARENT)]
    assert not pending.is_under_way(request) and pending.waiting == {}
