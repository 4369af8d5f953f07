"""Locks as a state machine: with Raft or Multi-Paxos they are what Chubby, ZooKeeper and etcd offer.

A client opens a session and keeps it alive. What a session holds or waits for ends with it. The lease of a session runs on
the machine's time, which never runs early, so no lock has a second holder before the first one's lease has ended. Grants
come in the order of requests, and a later entry of the log answers those that wait: nobody polls.

| operation | key | argument | result |
| --- | --- | --- | --- |
| `open_session` | None | None | `(session, lease)` |
| `keep_alive` | None | session | lease |
| `close_session` | None | session | None |
| `acquire`, `acquire_shared` | lock | session | `(token, None)` |
| `try_acquire`, `try_acquire_shared` | lock | `(session, patience)` | `(token, None)` |
| `release` | lock | session | None |
| `wait` | lock | revision | `(revision, holders)`, once the holders have changed after this revision |
| `holders` | lock | None | `(revision, holders)` |

Tokens and revisions are numbers from one count of all changes of the machine, like the positions of a log: a token is above
all that were given before. Sources: Burrows, *The Chubby lock service*, OSDI 2006, section 2.4; etcd's concurrency package.
"""

from __future__ import annotations

from typing import Any

import msgspec

from framework import (
    PENDING,
    Caller,
    Config,
    Duration,
    Lock,
    Refused,
    StateMachine,
    StateMachineSpec,
    Ticket,
    Value,
    hookimpl,
    operation,
    query,
)


class LockMachineConfig(Config):
    """The lease of sessions."""

    lease: Duration = Duration("1s")
    """Time for which a session lives unless it is kept alive."""

    def __post_init__(self) -> None:
        if self.lease <= 0:
            raise ValueError("lease=0 ends every session at once: give more than 0")


Snapshot = tuple[
    int,
    list[tuple[str, Lock]],
    list[tuple[int, int]],
    list[tuple[int, Caller]],
    list[tuple[str, int, Caller]],
]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


class LockMachine(StateMachine):
    """Locks, sessions, and the callers that wait."""

    config: LockMachineConfig

    def __init__(self, config: LockMachineConfig | None = None) -> None:
        super().__init__(config or LockMachineConfig())
        self.revision = 0
        self.locks: dict[str, Lock] = {}
        self.sessions: dict[int, int] = {}
        """The end of each session's lease, the earliest first: all leases have the same length."""
        self.callers: dict[int, Caller] = {}
        """The callers that wait for locks, by ticket."""
        self.watchers: list[tuple[str, int, Caller]] = []
        """The callers that wait for a change of a lock's holders: the lock, and the revision that they know."""
        self.impatient: dict[int, tuple[int, str]] = {}
        """When tickets give up, and their locks: by ticket, only of those that do."""

    # Sessions.

    @operation
    def open_session(self, key: str | None, argument: Value) -> Value:
        self.revision += 1
        self.sessions[self.revision] = self.now + self.config.lease
        return self.revision, int(self.config.lease)

    @operation
    def keep_alive(self, key: str | None, argument: Value) -> Value:
        session = self.open(argument)
        del self.sessions[session]
        self.sessions[session] = self.now + self.config.lease
        return int(self.config.lease)

    @operation
    def close_session(self, key: str | None, argument: Value) -> Value:
        self.end_session(self.open(argument), "the session was closed")

    def open(self, session: Any) -> int:
        """Returns the session. Raises Refused if it is not open."""
        if type(session) is not int or session not in self.sessions:
            raise Refused(f"there is no session {session!r}: it has ended, or was never opened")
        return session

    # Locks.

    @operation
    def acquire(self, key: str | None, argument: Value) -> Value:
        return self.request(key, argument, None, shared=False)

    @operation
    def acquire_shared(self, key: str | None, argument: Value) -> Value:
        return self.request(key, argument, None, shared=True)

    @operation
    def try_acquire(self, key: str | None, argument: Value) -> Value:
        return self.request(key, *patience(argument), shared=False)

    @operation
    def try_acquire_shared(self, key: str | None, argument: Value) -> Value:
        return self.request(key, *patience(argument), shared=True)

    @operation
    def release(self, key: str | None, argument: Value) -> Value:
        name, session = key or "", self.open(argument)
        lock = self.locks.get(name, Lock())
        if session not in lock.holders:
            raise Refused(f"session {session} does not hold {name}")
        self.revision += 1
        self.locks[name] = lock.released(session, self.revision)
        self.settle(name)

    def request(self, key: str | None, session: Any, patient: int | None, *, shared: bool) -> Value:
        """Puts a session into the queue of a lock, and grants it the lock if it is free."""
        name, session = key or "", self.open(session)
        lock = self.locks.get(name, Lock())
        if lock.is_wanted_by(session):
            raise Refused(f"session {session} holds {name} already, or waits for it")
        self.revision += 1
        number = self.revision
        requested = lock.requested(Ticket(number, session, shared, None if patient is None else self.now + patient))
        if patient == 0 and not (len(requested.waiting) == 1 and requested.can_grant()):
            raise Refused(f"{name} is not free")
        self.locks[name] = requested
        self.callers[number] = self.caller
        if patient:
            self.impatient[number] = (self.now + patient, name)
        self.settle(name)
        return PENDING

    def settle(self, name: str) -> None:
        """Grants a lock to those that can have it now, and answers them and those that wait for a change."""
        lock, tickets = self.locks[name].granted(self.revision + 1)
        if tickets:
            self.revision += 1
            self.locks[name] = lock
        for ticket in tickets:
            self.impatient.pop(ticket.number, None)
            self.answer(self.callers.pop(ticket.number), (lock.token, None))
        for watcher in [watcher for watcher in self.watchers if watcher[0] == name and watcher[1] < lock.changed]:
            self.watchers.remove(watcher)
            self.answer(watcher[2], (lock.changed, lock.holders))

    # Changes of holders.

    @operation
    def wait(self, key: str | None, argument: Value) -> Value:
        name, lock = key or "", self.locks.get(key or "", Lock())
        if type(argument) is not int:
            raise Refused(f"wait takes the revision that its caller knows, not {argument!r}")
        if lock.changed > argument:
            return lock.changed, lock.holders
        self.watchers.append((name, argument, self.caller))
        return PENDING

    @query
    def holders(self, key: str | None, argument: Value) -> Value:
        lock = self.locks.get(key or "", Lock())
        return lock.changed, lock.holders

    # Time.

    def next_deadline(self) -> int | None:
        ends = [next(iter(self.sessions.values()))] if self.sessions else []
        return min((*ends, *(until for until, _ in self.impatient.values())), default=None)

    def on_deadline(self) -> None:
        for name in dict.fromkeys(name for until, name in self.impatient.values() if until <= self.now):
            self.locks[name], gone = self.locks[name].expired(self.now)
            for ticket in gone:
                del self.impatient[ticket.number]
                self.refuse(self.callers.pop(ticket.number), f"{name} is not free")
            self.settle(name)  # those behind may share it
        for session in [session for session, end in self.sessions.items() if end <= self.now]:
            self.end_session(session, "the session's lease has ended")

    def end_session(self, session: int, why: str) -> None:
        """Ends a session with all that it holds and waits for."""
        del self.sessions[session]
        for name, lock in list(self.locks.items()):
            if not lock.is_wanted_by(session):
                continue
            for ticket in lock.waiting:
                if ticket.session == session:
                    self.impatient.pop(ticket.number, None)
                    self.refuse(self.callers.pop(ticket.number), why)
            lock = lock.withdrawn(session)
            if session in lock.holders:
                self.revision += 1
                lock = lock.released(session, self.revision)
            self.locks[name] = lock
            self.settle(name)

    def snapshot(self) -> bytes:
        state: Snapshot = (
            self.revision, list(self.locks.items()), list(self.sessions.items()), list(self.callers.items()), self.watchers,
        )  # fmt: skip
        return _encode(state)

    def restore(self, snapshot: bytes) -> None:
        self.revision, locks, sessions, callers, self.watchers = _decode(snapshot)
        self.locks, self.sessions, self.callers = dict(locks), dict(sessions), dict(callers)
        tickets = [(ticket, name) for name, lock in locks for ticket in lock.waiting]
        self.impatient = {ticket.number: (ticket.until, name) for ticket, name in tickets if ticket.until is not None}


def patience(argument: Value) -> tuple[Any, int]:
    """Returns the session and the patience of a request that does not wait for ever. Raises Refused for anything else."""
    if not isinstance(argument, tuple) or len(argument) != 2 or type(argument[1]) is not int or argument[1] < 0:
        raise Refused(f"expected a session and a patience in nanoseconds, got {argument!r}")
    return argument[0], argument[1]


@hookimpl
def register_state_machines() -> list[StateMachineSpec]:
    return [
        StateMachineSpec(
            name="lock",
            summary="Locks with sessions, fencing tokens and queues.",
            machine=LockMachine,
            config=LockMachineConfig,
            checkers=("guarded_store", "fencing_tokens", "lock_progress"),
        )
    ]
