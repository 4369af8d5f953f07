"""Exactly-once execution for replicated state machines: sessions, and the client that keeps one.

Ongaro's thesis, section 6.3: a client opens a session through the log, numbers its commands, and retries under the
same number. The session table, which is part of the replicated state, executes each number once and repeats the
answer. The session's id is the index of the log entry that opened it, so ids are unique.

Sessions expire by number, not by time: beyond `max_sessions` the longest idle session is dropped, which every replica
decides alike from the log. Expiry by time would need a clock that all replicas agree on, entry by entry.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from framework.core.client import Fail, Ok, Operation, OperationId, Outcome, Unknown
from framework.core.message import Config, Message, NodeId, Record
from framework.core.node import handles
from framework.replication.leader_client import LeaderClient, RetryConfig
from framework.replication.state_machine import Refused, StateMachine, StateMachineChoice

OPEN = 0
"""The sequence number of the command that opens a session."""


class ReplicatedConfig(Config):
    """Base of the config of every protocol that replicates a state machine."""

    state_machine: StateMachineChoice | None = None
    """Chosen by the config group `state_machine`; never None when a node starts."""
    session: RetryConfig = RetryConfig()
    """How a client tries again."""
    max_sessions: int = 100_000
    """The number of sessions that the table keeps; beyond it the longest idle session expires."""


class ReadingConfig(ReplicatedConfig):
    """Base of the config of protocols that can serve reads without the log (Ongaro's thesis, section 6.4)."""

    read_mode: Literal["log", "read_index", "lease"] = "log"
    """`log`: a read is a command like any other. `read_index`: the leader checks that it still leads,
    by one round of messages for all waiting reads. `lease`: the leader answers at once during its
    lease, which relies on low clock drift."""
    max_clock_drift_ppm: Annotated[int, Meta(ge=0, lt=1_000_000)] = 1_000
    """The maximum clock drift, fast or slow, at which reads by lease are safe, in parts per million."""


class Command(Record):
    """A client's command, executed once. `sequence` counts from 1 within the session; `OPEN` opens a session."""

    session: int
    sequence: int
    body: bytes

    def __str__(self) -> str:
        """Returns `write x 1 #7.2` for the second command of session 7."""
        if self.sequence == OPEN:
            return "open a session"
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


class Applied(Record):
    """The outcome of a command: `result` is None if its session has expired; `again`: it had been executed before."""

    session: int
    result: bytes | None
    again: bool = False


class ReplicatedMachine:
    """A state machine with its session table. Every replica applies its log to it, in order."""

    plain = True

    def __init__(self, machine: StateMachine, max_sessions: int = 100_000) -> None:
        self.machine = machine
        self.max_sessions = max_sessions
        self._sessions: dict[int, tuple[int, bytes]] = {}  # session -> (last sequence, its result), idle longest first

    def apply(self, index: int, command: Command) -> Applied:
        """Executes the command at log index `index`, unless its session has executed it before."""
        session, sequence = command.session, command.sequence
        if sequence == OPEN:
            self._sessions[index] = (OPEN, b"")
            if len(self._sessions) > self.max_sessions:
                del self._sessions[next(iter(self._sessions))]
            return Applied(index, b"")
        last = self._sessions.pop(session, None)
        if last is None:
            return Applied(session, None)
        if sequence <= last[0]:  # a retry; the client has moved on from all but the last number
            self._sessions[session] = last
            return Applied(session, last[1], again=True)
        result = self.machine.apply(command.body)
        self._sessions[session] = (sequence, result)
        return Applied(session, result)

    def query(self, body: bytes) -> bytes:
        """Returns the result of a command that changes nothing, in the current state."""
        return self.machine.apply(body)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode((self.machine.snapshot(), list(self._sessions.items())))

    def restore(self, snapshot: bytes) -> None:
        machine, sessions = msgspec.msgpack.decode(snapshot, type=tuple[bytes, list[tuple[int, tuple[int, bytes]]]])
        self.machine.restore(machine)
        self._sessions = dict(sessions)

    def copy(self) -> ReplicatedMachine:
        twin = ReplicatedMachine(self.machine.copy(), self.max_sessions)
        twin._sessions = dict(self._sessions)
        return twin

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReplicatedMachine):
            return NotImplemented
        return self.machine == other.machine and list(self._sessions.items()) == list(other._sessions.items())

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
        else:
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
