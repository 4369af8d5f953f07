"""The lock server, and its client. The locks, their queues and leases are a `framework.LockTable`.

    client                      server
      | OpenSession ------------> |  a session, with a lease on the server's clock
      | <----------- SessionOpen  |
      | KeepAlive --------------> |  the lease has its full length again
      | <----------- SessionOpen  |
      | Acquire ----------------> |  a ticket at the end of the lock's queue
      | <---------------- Answer  |  its token, once it is granted
      | Release ----------------> |  the next ticket is granted
      | <---------------- Answer  |

A client sends its request again until it is answered. Acquire and Release are executed once: the server keeps, for each
client, the latest operation and its answer. The operations of a client have rising ids, so an older one is a late
duplicate, and a repeated one is given the same answer, or goes on waiting.

All of this is durable, with the sessions, but for times: a restarted server does not know how long it was down. It lets
every lease, and the patience of every ticket, run their full length again. So no lease ends before its client
expects it.
"""

from __future__ import annotations

from collections.abc import Iterable

from framework import (
    ACQUIRE,
    ACQUIRE_SHARED,
    ACQUIRES,
    KEEP_ALIVE,
    OPEN_SESSION,
    RELEASE,
    TRY_ACQUIRE,
    TRY_ACQUIRE_SHARED,
    Address,
    DurableMap,
    Fail,
    Lock,
    LockClient,
    LockTable,
    Message,
    Node,
    NodeId,
    Ok,
    Operation,
    OperationId,
    Outcome,
    Record,
    Refused,
    Status,
    TicketOutcome,
    durable,
    durable_map,
    handles,
    on_timer,
)
from plugins.protocols.lock_server.config import LockServerConfig
from plugins.protocols.lock_server.messages import (
    Acquire,
    Answer,
    CloseSession,
    Holders,
    KeepAlive,
    OpenSession,
    Release,
    SessionEnded,
    SessionOpen,
    Watch,
)

CLOSE_SESSION, WAIT, HOLDERS = "close_session", "wait", "holders"
"""Functions besides those of every lock."""


class Session(Record):
    """An open session: the client and the operation that opened it."""

    client: Address
    operation: OperationId


class Waiting(Record):
    """The request behind a ticket, and its patience in nanoseconds."""

    client: Address
    operation: OperationId
    patience: int | None


class Latest(Record):
    """The latest request of a client that the server has executed; `answer` is None while its ticket waits."""

    operation: OperationId
    ticket: int = 0
    answer: Answer | None = None


class LockServerStatus(Status):
    """Status of the server: its open sessions, and the tickets that wait."""

    sessions: int = 0
    waiting: int = 0


class LockServer(Node):
    """Grants locks to sessions."""

    config: LockServerConfig

    revision: int = durable(0)
    """The number of the latest session, ticket, token or change."""
    locks: DurableMap[str, Lock] = durable_map(str, Lock)
    sessions: DurableMap[int, Session] = durable_map(int, Session)
    waiting: DurableMap[int, Waiting] = durable_map(int, Waiting)
    """The requests that wait, by ticket."""
    latest: DurableMap[Address, Latest] = durable_map(Address, Latest)
    """The latest Acquire or Release of each client, for ever."""

    def on_start(self) -> None:
        self.table = LockTable(self.locks, self.revision)
        self.released: dict[tuple[str, int], int] = {}
        """Since this start: the revision at which a session has last released a lock. For the invariants."""
        self.closed: dict[int, int] = {}
        """Since this start: the revision at which a client has closed a session. For the invariants."""
        self.watchers: dict[tuple[Address, OperationId], Watch] = {}
        self.recover_times()

    def recover_times(self) -> None:
        """After a restart: every lease and every patience runs its full length."""
        self.table.leases = dict.fromkeys(self.sessions, self.now + self.config.lease)
        for name, lock in self.locks.items():
            for ticket in lock.waiting:
                patience = self.waiting[ticket.number].patience
                if patience is not None:
                    self.table.impatient[ticket.number] = (self.now + patience, name)
        self.await_deadline()

    @property
    def status(self) -> Status:
        return LockServerStatus(sessions=len(self.sessions), waiting=len(self.waiting))

    # Sessions.

    @handles(OpenSession)
    def on_open_session(self, sender: Address, request: OpenSession) -> None:
        """Opens a session. The answer to a duplicate is the same session while it is open. A later duplicate opens
        another session, which no client uses, and which ends with its lease."""
        opened = Session(sender, request.operation)
        session = next((session for session, known in self.sessions.items() if known == opened), None)
        if session is None:
            session = self.table.open_session(self.now + self.config.lease)
            self.sessions[session] = opened
            self.carry_out(())
        self.send(sender, SessionOpen(request.operation, session, int(self.config.lease)))

    @handles(KeepAlive)
    def on_keep_alive(self, sender: Address, request: KeepAlive) -> None:
        """Extends a lease. A late duplicate extends it, too, which is safe; an ended session stays ended."""
        if request.session not in self.sessions:
            self.send(sender, SessionEnded(request.operation, request.session))
            return
        self.table.keep_alive(request.session, self.now + self.config.lease)
        self.await_deadline()
        self.send(sender, SessionOpen(request.operation, request.session, int(self.config.lease)))

    @handles(CloseSession)
    def on_close_session(self, sender: Address, request: CloseSession) -> None:
        if request.session in self.sessions:  # else a duplicate, or the lease has ended
            self.closed[request.session] = self.revision
            self.carry_out(self.table.close_session(request.session))
        self.send(sender, SessionEnded(request.operation, request.session))

    # Locks.

    @handles(Acquire)
    def on_acquire(self, sender: Address, request: Acquire) -> None:
        if not self.is_new(sender, request.operation):
            return
        try:
            ticket, outcomes = self.table.request(
                request.lock, request.session, shared=request.shared, patience=request.patience, now=self.now
            )
        except Refused as refusal:
            self.answer(sender, Answer(request.operation, refused=str(refusal)))
            return
        self.waiting[ticket] = Waiting(sender, request.operation, request.patience)
        self.latest[sender] = Latest(request.operation, ticket)
        self.carry_out(outcomes)

    @handles(Release)
    def on_release(self, sender: Address, request: Release) -> None:
        if not self.is_new(sender, request.operation):
            return
        try:
            outcomes = self.table.release(request.lock, request.session)
        except Refused as refusal:
            self.answer(sender, Answer(request.operation, refused=str(refusal)))
            return
        self.released[request.lock, request.session] = self.table.revision
        self.answer(sender, Answer(request.operation))
        self.carry_out(outcomes)

    def is_new(self, client: Address, operation: OperationId) -> bool:
        """Returns whether a request has not been executed yet; a repeated one is given its answer, if there is one."""
        latest = self.latest.get(client)
        if latest is None or operation > latest.operation:
            return True
        self.note("repeated", client=client, operation=operation)
        if operation == latest.operation and latest.answer is not None:
            self.send(client, latest.answer)
        return False  # it waits, or its client has gone on to another one

    def answer(self, client: Address, answer: Answer, ticket: int = 0) -> None:
        """Answers a request, and keeps the answer for its duplicates."""
        self.latest[client] = Latest(answer.operation, ticket, answer)
        self.send(client, answer)

    def carry_out(self, outcomes: Iterable[TicketOutcome]) -> None:
        """Keeps what the table has changed, and answers the requests whose wait is over."""
        self.revision = self.table.revision
        for session in [session for session in self.sessions if session not in self.table.leases]:
            del self.sessions[session]
        for outcome in outcomes:
            waiting = self.waiting[outcome.ticket]
            del self.waiting[outcome.ticket]
            if self.latest[waiting.client].operation == waiting.operation:  # else its client has given up
                answer = Answer(waiting.operation, outcome.token, outcome.refused)
                self.answer(waiting.client, answer, outcome.ticket)
        for (client, operation), watch in list(self.watchers.items()):
            if self.table.lock(watch.lock).changed > watch.revision:
                del self.watchers[client, operation]
                self.send_holders(client, watch)
        self.await_deadline()

    # Changes of holders.

    @handles(Watch)
    def on_watch(self, sender: Address, watch: Watch) -> None:
        """Answers once the holders have changed. Who waits is not durable: the client asks again."""
        if self.table.lock(watch.lock).changed > watch.revision:
            self.send_holders(sender, watch)
        else:
            self.watchers[sender, watch.operation] = watch

    def send_holders(self, client: Address, watch: Watch) -> None:
        lock = self.table.lock(watch.lock)
        self.send(client, Holders(watch.operation, lock.changed, lock.holders))

    # Time.

    def await_deadline(self) -> None:
        """Sets the timer to the next end of a lease or of a ticket's patience."""
        deadline = self.table.next_deadline()
        if deadline is None:
            self.cancel_timer(self.pass_deadlines)
        else:
            self.set_timer(self.pass_deadlines, after=max(1, deadline - self.now))

    @on_timer
    def pass_deadlines(self) -> None:
        """Ends the leases and the patience that are due."""
        due = [session for session, end in self.table.leases.items() if end <= self.now]
        for session in due:
            self.note("session_expired", session=session)
        self.carry_out(self.table.pass_deadlines(self.now))


class LockServerClient(LockClient):
    """Sends its request to the server, and again until it is answered.

    Results and refusals are those of requests that were executed once, so `Fail` is certain. Two requests are not: a
    session that nobody knows of may stay behind `open_session`; and `keep_alive` fails if the session has ended, though
    an earlier attempt may have extended its lease until then.
    """

    config: LockServerConfig

    def on_start(self) -> None:
        self.operation: Operation | None = None
        self.request: Message | None = None
        self.asked = 0
        """How often the request has been sent."""

    def awaited_nodes(self) -> tuple[NodeId, ...]:
        return () if self.request is None else self.servers[:1]

    def invoke(self, operation: Operation) -> None:
        request = request_of(operation)
        if request is None:
            what = f"{operation.function} cannot have the argument {operation.argument!r}"
            self.complete(operation.id, Fail(what))
            return
        self.operation, self.request, self.asked = operation, request, 0
        self.ask()

    @on_timer
    def ask(self) -> None:
        """Sends the request, once more if it was sent before."""
        if self.request is None or self.current is None:
            return  # it has timed out
        if self.asked:
            self.note("asked_again", operation=self.current)
        self.asked += 1
        self.send(self.servers[0], self.request)
        self.set_timer(self.ask, after=self.config.retry)

    @handles(SessionOpen)
    def on_session_open(self, sender: NodeId, answer: SessionOpen) -> None:
        if answer.operation != self.current or self.operation is None:
            return  # answered already
        is_new = self.operation.function == OPEN_SESSION
        self.end(Ok((answer.session, answer.lease) if is_new else answer.lease))

    @handles(SessionEnded)
    def on_session_ended(self, sender: NodeId, answer: SessionEnded) -> None:
        if answer.operation != self.current or self.operation is None:
            return  # answered already
        is_closed = self.operation.function == CLOSE_SESSION
        self.end(Ok() if is_closed else Fail(f"session {answer.session} has ended"))

    @handles(Answer)
    def on_answer(self, sender: NodeId, answer: Answer) -> None:
        if answer.operation != self.current or self.operation is None:
            return  # answered already
        if answer.refused:
            self.end(Fail(answer.refused))
        else:
            self.end(Ok((answer.token, None) if self.operation.function in ACQUIRES else None))

    @handles(Holders)
    def on_holders(self, sender: NodeId, answer: Holders) -> None:
        if answer.operation == self.current and self.operation is not None:  # else answered already
            self.end(Ok((answer.revision, answer.sessions)))

    def end(self, outcome: Outcome) -> None:
        """Ends the operation under way."""
        assert self.operation is not None
        operation, self.operation, self.request = self.operation, None, None
        self.cancel_timer(self.ask)
        self.complete(operation.id, outcome)


def request_of(operation: Operation) -> Message | None:
    """Returns the request that an operation sends; None if it cannot have this argument."""
    number, function, lock, argument = operation.id, operation.function, operation.key or "", operation.argument
    if function == OPEN_SESSION:
        return OpenSession(number)
    if function == HOLDERS:
        return Watch(number, lock, -1)
    patience = None
    if function in (TRY_ACQUIRE, TRY_ACQUIRE_SHARED):
        if not isinstance(argument, tuple) or len(argument) != 2:
            return None
        argument, patience = argument
        if type(patience) is not int or patience < 0:
            return None
    if type(argument) is not int:
        return None
    if function in ACQUIRES:
        return Acquire(number, lock, argument, function in (ACQUIRE_SHARED, TRY_ACQUIRE_SHARED), patience)
    if function == RELEASE:
        return Release(number, lock, argument)
    if function == WAIT:
        return Watch(number, lock, argument)
    return KeepAlive(number, argument) if function == KEEP_ALIVE else CloseSession(number, argument)


OPERATIONS = (
    OPEN_SESSION,
    KEEP_ALIVE,
    CLOSE_SESSION,
    ACQUIRE,
    ACQUIRE_SHARED,
    TRY_ACQUIRE,
    TRY_ACQUIRE_SHARED,
    RELEASE,
    WAIT,
    HOLDERS,
)
"""What a client can do."""
