"""Exactly-once execution for replicated state machines: sessions, and the client that keeps one.

Ongaro's thesis, section 6.3: a client opens a session through the log, numbers its commands, and retries under the
same number. The session table, which is part of the replicated state, executes each number once and repeats the
answer. The session's id is the index of the log entry that opened it, so ids are unique.

Sessions expire by number, not by time: beyond `max_sessions` the longest idle session is dropped, which every replica
decides alike from the log. Expiry by time would need a clock that all replicas agree on, entry by entry.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from framework.core.client import Fail, Ok, Operation, OperationId, Outcome, Unknown
from framework.core.errors import PluginError, PluginFailed
from framework.core.message import Config, Message, NodeId, Record
from framework.core.node import handles
from framework.core.time import format_duration
from framework.replication.leader_client import LeaderClient, RetryConfig
from framework.replication.machine_time import MachineClock, Stamp
from framework.replication.state_machine import DEFERRED, Caller, Refused, StateMachine, StateMachineChoice

OPEN = 0
"""The sequence number of the command that opens a session."""

PARENT = -1
"""The session of commands that the parent of a mounted node proposes: they are executed as often as they are
applied."""

TICK = -2
"""The session of a command without a body, which only lets time pass."""


class ReplicatedConfig(Config):
    """Base of the config of every protocol that replicates a state machine."""

    state_machine: StateMachineChoice | None = None
    """Chosen by the config group `state_machine`, or by the parent of a mounted group."""
    session: RetryConfig = RetryConfig()
    """The retries of a client."""
    max_sessions: int = 100_000
    """The number of sessions that the table keeps; beyond it the longest idle session expires."""

    def replicated_machine(self) -> ReplicatedMachine:
        """Returns a new machine of the chosen kind, with a session table. Raises PluginFailed if none was chosen."""
        if self.state_machine is None:
            raise PluginFailed(
                "state_machine", "none is chosen for a mounted group",
                "Write state_machine=kv, or let the parent give one: replace(config, state_machine=...).",
            )  # fmt: skip
        return ReplicatedMachine(self.state_machine.build(), self.max_sessions)


class ReadingConfig(ReplicatedConfig):
    """Base of the config of protocols that can serve reads without the log (Ongaro's thesis, section 6.4)."""

    read_mode: Literal["log", "read_index", "lease"] = "log"
    """`log`: a read is a command like any other. `read_index`: the leader checks that it still leads,
    by one round of messages for all waiting reads. `lease`: the leader answers at once during its
    lease, which relies on low clock drift."""
    max_clock_drift_ppm: Annotated[int, Meta(ge=0, lt=1_000_000)] = 1_000
    """The maximum clock drift, fast or slow, at which reads by lease are safe, in parts per million."""


class Command(Record):
    """A client's command, executed once. `sequence` counts from 1 within the session; `OPEN` opens a session.

    `stamp`: what its leader knows of time, if the machine keeps time.
    """

    session: int
    sequence: int
    body: bytes
    stamp: Stamp | None = None

    def __str__(self) -> str:
        """Returns `write x 1 #7.2` for the second command of session 7."""
        if self.sequence == OPEN:
            return "open a session"
        if self.session == TICK:
            return f"{format_duration(self.stamp.elapsed if self.stamp else 0)} pass"
        if self.session == PARENT:
            return StateMachine.describe_command(self.body)
        return f"{StateMachine.describe_command(self.body)} #{self.session}.{self.sequence}"


class Request(Message):
    """A client's command, sent to the leader."""

    operation: OperationId
    command: Command


class Reply(Message):
    """The result of the command `sequence`; None if the session has expired.

    The reply to `OPEN` has the session's id.
    """

    operation: OperationId
    sequence: int
    result: bytes | None
    session: int = 0

    def __str__(self) -> str:
        answered = f"Reply(operation={self.operation}, sequence={self.sequence}, session={self.session}"
        if self.result is None:
            return f"{answered}, expired)"
        if self.sequence == OPEN:
            return f"{answered})"
        return f"{answered}, result={StateMachine.describe_result(self.result)})"


class Query(Message):
    """A client's read, sent to the leader outside any session: it changes nothing, so a retry is harmless."""

    operation: OperationId
    body: bytes

    def __str__(self) -> str:
        return f"Query(operation={self.operation}, {StateMachine.describe_command(self.body)})"


class Answer(Message):
    """The result of a `Query`."""

    operation: OperationId
    result: bytes

    def __str__(self) -> str:
        return f"Answer(operation={self.operation}, result={StateMachine.describe_result(self.result)})"


class LateAnswer(Record):
    """The result of a command that had to wait, which another command has brought about."""

    caller: Caller
    result: bytes


class Executed(Record):
    """The outcome of a command: `result` is None if its session has expired; `again`: it had been executed before.

    `waits`: it has no result yet; a later command's `answers` will have it. `answers` are the results of commands that
    have waited.
    """

    session: int
    result: bytes | None
    again: bool = False
    waits: bool = False
    answers: tuple[LateAnswer, ...] = ()


_Snapshot: TypeAlias = tuple[bytes, list[tuple[int, tuple[int, bytes]]], tuple[int, MachineClock] | None]


class ReplicatedMachine:
    """A state machine with its session table and its time. Every replica applies its log to it, in order."""

    plain = True

    def __init__(self, machine: StateMachine, max_sessions: int = 100_000) -> None:
        self.machine = machine
        self.max_sessions = max_sessions
        self._sessions: dict[int, tuple[int, bytes]] = {}  # session -> (last sequence, its result), idle longest first
        self.keeps_time = machine.keeps_time
        self._clock = MachineClock()

    def apply(self, index: int, command: Command) -> Executed:
        """Executes the command at log index `index`, unless its session has executed it before."""
        answers: tuple[LateAnswer, ...] = () if command.stamp is None else self._pass_time(index, command.stamp)
        session, sequence, sessions = command.session, command.sequence, self._sessions
        last = sessions.pop(session, None)
        if last is None:
            return self._apply_without_session(index, command, answers)
        if sequence <= last[0]:  # a retry; the client has moved on from all but the last number
            sessions[session] = last
            return Executed(session, last[1], True, last[1] == DEFERRED, answers)
        machine = self.machine
        machine._call = command
        result = machine.apply(command.body)
        sessions[session] = (sequence, result)
        if machine._answers is not None:
            answers += self._answers()
            result = sessions[session][1]  # it may have answered itself
        return Executed(session, result, False, result == DEFERRED, answers)

    def _pass_time(self, index: int, stamp: Stamp) -> tuple[LateAnswer, ...]:
        """Lets the time of the stamp pass; returns the answers that it has brought about."""
        if not self.keeps_time:
            return ()
        self.machine.advance(self._clock.elapsed(index, stamp))
        return self._answers()

    def _apply_without_session(self, index: int, command: Command, answers: tuple[LateAnswer, ...]) -> Executed:
        """Executes a command that is not of an open session: one that opens a session, of the parent, or a tick."""
        if command.sequence == OPEN:
            self._sessions[index] = (OPEN, DEFERRED)
            if len(self._sessions) > self.max_sessions:
                del self._sessions[next(iter(self._sessions))]
            return Executed(index, b"", answers=answers)
        if command.session != PARENT:  # a tick, or the session has expired
            return Executed(command.session, None, answers=answers)
        self.machine._call = Caller(PARENT, index)
        result = self.machine.apply(command.body)
        return Executed(PARENT, result, False, result == DEFERRED, (*answers, *self._answers()))

    def _answers(self) -> tuple[LateAnswer, ...]:
        """Returns the answers that the machine has given, and keeps them for retries of their commands."""
        given = self.machine.take_answers()
        for caller, result in given:
            last = self._sessions.get(caller.session)
            if last is not None and last == (caller.sequence, DEFERRED):
                self._sessions[caller.session] = (caller.sequence, result)
        return tuple(LateAnswer(caller, result) for caller, result in given)

    def begin_anew(self, index: int) -> bytes:
        """Forgets the leaders that have measured time so far, for a new group behind `index`; returns a snapshot."""
        self._clock = MachineClock(stamped=index)
        return self.snapshot()

    @property
    def latest_session(self) -> int:
        """The highest id of a session that is open; 0 if none is."""
        return max(self._sessions, default=0)

    def until_deadline(self) -> int | None:
        """Returns the nanoseconds of machine time until the machine wants a command; None if it wants none."""
        deadline = self.machine.next_deadline() if self.keeps_time else None
        return None if deadline is None else max(0, deadline - self.machine._now)

    def query(self, body: bytes) -> bytes:
        """Returns the result of a command that changes nothing, in the current state."""
        self.machine._call = None
        result = self.machine.apply(body)
        if result == DEFERRED:
            what = f"{StateMachine.describe_command(body)}: a query cannot wait"
            raise PluginError(type(self.machine).__qualname__, what, "Mark it @operation, or return its result.")
        return result

    def snapshot(self) -> bytes:
        """Returns the machine's state, the sessions with their last results, and the time if the machine keeps it."""
        clock = (self.machine._now, self._clock) if self.keeps_time else None
        return msgspec.msgpack.encode((self.machine.snapshot(), list(self._sessions.items()), clock))

    def restore(self, snapshot: bytes) -> None:
        """Replaces the state by the one in `snapshot`."""
        machine, sessions, clock = msgspec.msgpack.decode(snapshot, type=_Snapshot)
        self.machine.restore(machine)
        self.machine._now, self._clock = clock or (0, MachineClock())
        self._sessions = dict(sessions)

    def copy(self) -> ReplicatedMachine:
        twin = ReplicatedMachine(self.machine.copy(), self.max_sessions)
        twin._sessions, twin.machine._now = dict(self._sessions), self.machine._now
        twin._clock = msgspec.structs.replace(self._clock)
        return twin

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReplicatedMachine):
            return NotImplemented
        same = self.machine == other.machine and self.machine._now == other.machine._now
        same = same and self._clock == other._clock
        return same and list(self._sessions.items()) == list(other._sessions.items())

    __hash__ = None  # type: ignore[assignment]


class SessionClient(LeaderClient):
    """The client of every replicated state machine: retries, follows redirects, and has each command executed once.

    Its protocol's node answers `Request` with `Reply` or `NotLeader`, and its config is a `ReplicatedConfig`. With a
    `ReadingConfig`, reads may bypass the log: the node also answers `Query` with `Answer` or `NotLeader`.
    """

    def on_start(self) -> None:
        super().on_start()
        self.session = 0  # 0: none yet
        self.commands = 0  # sent in this session
        self.body = b""

    def invoke(self, operation: Operation) -> None:
        machine = self.config.state_machine.machine
        self.body = machine.command(operation.function, operation.key, operation.argument)
        self.asking = operation.id
        if operation.function in machine.queries and self._reads_apart():
            self.sequence = 0
            self.ask(Query(operation.id, self.body))
        elif self.session:
            self._command()
        else:
            self.sequence = OPEN
            self.ask(Request(operation.id, Command(0, OPEN, b"")))

    @handles(Reply)
    def on_reply(self, sender: NodeId, reply: Reply) -> None:
        if reply.operation != self.asking or reply.sequence != self.sequence or type(self.request) is not Request:
            return  # an answer to an earlier attempt
        self.leader = sender
        if reply.result is None:
            self.end(Unknown("the session expired"))
        elif reply.sequence == OPEN:
            self.session = reply.session
            self._command()
        elif reply.result != DEFERRED:
            self.end(self._outcome(reply.result))

    @handles(Answer)
    def on_answer(self, sender: NodeId, answer: Answer) -> None:
        if answer.operation != self.asking:
            return  # an answer to an earlier attempt
        self.leader = sender
        self.end(self._outcome(answer.result))

    def _command(self) -> None:
        assert self.asking is not None
        self.commands += 1
        self.sequence = self.commands
        self.ask(Request(self.asking, Command(self.session, self.sequence, self.body)))

    def _reads_apart(self) -> bool:
        return isinstance(self.config, ReadingConfig) and self.config.read_mode != "log"

    def _outcome(self, result: bytes) -> Outcome:
        try:
            return Ok(self.config.state_machine.machine.result(result))
        except Refused as refusal:
            return Fail(str(refusal))
