"""Once-only execution for replicated state machines: sessions, and the client that keeps one.

Ongaro's thesis, section 6.3: a client opens a session through the log, numbers its commands, and retries under the
same number; the session table, which is part of the replicated state, executes each number once and repeats the
answer. The session's id is the log index that opened it, so no two are ever the same.
"""

from __future__ import annotations

from typing import Any

import msgspec

from framework.core.client import Client, Fail, Ok, Operation, OperationId, Outcome, Unknown
from framework.core.message import Config, Message, NodeId, Record
from framework.core.node import handles, on_timer
from framework.core.state_machine import Refused, StateMachine, StateMachineChoice
from framework.core.time import Duration

OPEN = 0
"""The sequence number of the command that opens a session."""


class SessionConfig(Config):
    """How a session client tries again."""

    retry: Duration = Duration("500ms")
    """How long to wait for an answer before the next server is tried."""
    backoff: Duration = Duration("20ms")
    """How long to wait when no server knows a leader."""


class ReplicatedConfig(Config):
    """Base of the config of every protocol that replicates a state machine."""

    state_machine: StateMachineChoice | None = None
    """Chosen by the config group `state_machine`; always there when a node starts."""
    session: SessionConfig = SessionConfig()
    max_sessions: int = 100_000
    """Sessions that the table keeps; beyond it the one that was idle longest expires."""


class Command(Record):
    """What a client wants executed once: `sequence` counts within the session from 1; `OPEN` opens one."""

    session: int
    sequence: int
    body: bytes


class Request(Message):
    """A client's command to whoever leads."""

    operation: OperationId
    command: Command


class Reply(Message):
    """The result of the command `sequence`; for `OPEN` the session's id, for an expired session None."""

    operation: OperationId
    sequence: int
    result: bytes | None
    session: int = 0


class NotLeader(Message):
    """Nothing was done; `leader` is the node to ask, if the sender knows it."""

    operation: OperationId
    sequence: int
    leader: NodeId | None


class Applied(Record):
    """What came of a command: `result` is None when its session has expired; `again` when it had been executed before."""

    session: int
    result: bytes | None
    again: bool = False


class ReplicatedMachine:
    """A state machine with its session table: what every replica applies its log to, in order."""

    plain = True

    def __init__(self, machine: StateMachine, max_sessions: int = 100_000) -> None:
        self.machine = machine
        self.max_sessions = max_sessions
        self._sessions: dict[int, tuple[int, bytes]] = {}  # session -> (last sequence, its result), idle longest first

    def apply(self, index: int, command: Command) -> Applied:
        """Executes the command at log `index`, unless its session executed it before."""
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


class SessionClient(Client):
    """The client of every replicated state machine: retries, follows redirects, and has each command executed once.

    Its protocol's node answers `Request` with `Reply` or `NotLeader`, and its config is a `ReplicatedConfig`.
    """

    def on_start(self) -> None:
        self.session = 0  # 0: none yet
        self.sequence = OPEN
        self.leader: NodeId | None = None
        self.attempt = 0
        self.redirects = 0
        self.body = b""
        self.asking: OperationId | None = None
        self.command: Command | None = None

    def invoke(self, operation: Operation) -> None:
        machine = self.config.state_machine.machine
        self.body = machine.command(operation.function, operation.key, operation.argument)
        self.asking = operation.id
        if self.session:
            self.sequence += 1
            self._ask(Command(self.session, self.sequence, self.body))
        else:
            self._ask(Command(0, OPEN, b""))

    @handles(Reply)
    def on_reply(self, sender: NodeId, reply: Reply) -> None:
        if reply.operation != self.asking or reply.sequence != self.sequence:
            return  # an answer to an earlier attempt
        self.leader = sender
        if reply.result is None:
            self._end(Unknown("the session expired"))
        elif reply.sequence == OPEN:
            self.session, self.sequence = reply.session, 1
            self._ask(Command(self.session, self.sequence, self.body))
        else:
            self._end(self._outcome(reply.result))

    @handles(NotLeader)
    def on_not_leader(self, sender: NodeId, answer: NotLeader) -> None:
        if answer.operation != self.asking or answer.sequence != self.sequence or sender != self._target():
            return  # an answer to an earlier attempt
        known = answer.leader != sender and answer.leader in self.servers
        if known and self.redirects < len(self.servers):  # two that name one another would send us to and fro
            self.leader = answer.leader
            self.redirects += 1
            self._send()
        else:
            self.set_timer(self.try_next, after=self.config.session.backoff)

    @on_timer
    def try_next(self) -> None:
        """No answer from the one that was asked, or it knows no leader: the next server's turn."""
        failed = self._target()
        self.attempt += 1
        if self._turn() == failed:  # as a leader that another one named
            self.attempt += 1
        self.leader = None
        self.redirects = 0
        self._send()

    def _ask(self, command: Command) -> None:
        self.command = command
        self.redirects = 0
        self._send()

    def _send(self) -> None:
        assert self.asking is not None and self.command is not None
        self.send(self._target(), Request(self.asking, self.command))
        self.set_timer(self.try_next, after=self.config.session.retry)

    def _target(self) -> NodeId:
        return self.leader or self._turn()

    def _turn(self) -> NodeId:
        return self.servers[self.attempt % len(self.servers)]

    def _outcome(self, result: bytes) -> Outcome:
        try:
            return Ok(self.config.state_machine.machine.result(result))
        except Refused as refusal:
            return Fail(str(refusal))

    def _end(self, outcome: Any) -> None:
        assert self.asking is not None
        asking, self.asking, self.command = self.asking, None, None
        self.cancel_timer(self.try_next)
        self.complete(asking, outcome)
