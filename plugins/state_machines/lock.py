"""Locks as a state machine: with Raft or Multi-Paxos they are what Chubby, ZooKeeper and etcd offer.

A client opens a session and keeps it alive. What a session holds or waits for ends with it. The lease of a session runs
on the machine's time, which never runs early, so no lock has a second holder before the first one's lease has ended.
Grants come in the order of requests, and a later entry of the log answers those that wait: nobody polls.

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

Tokens and revisions are numbers from one count of all changes of the machine, like the positions of a log: a token is
above all that were given before. Sources: Burrows, *The Chubby lock service*, OSDI 2006, section 2.4; etcd's
concurrency package.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from framework import (
    PENDING,
    Caller,
    Config,
    Duration,
    Lock,
    LockTable,
    Refused,
    StateMachine,
    StateMachineSpec,
    TicketOutcome,
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
    list[tuple[int, tuple[int, str]]],
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
        self.recovery_time = int(self.config.lease)
        self.table = LockTable()
        self.callers: dict[int, Caller] = {}
        """The callers that wait for locks, by ticket."""
        self.watchers: list[tuple[str, int, Caller]] = []
        """The callers that wait for a change of a lock's holders: the lock, and the revision that they know."""

    # Sessions.

    @operation
    def open_session(self, key: str | None, argument: Value) -> Value:
        return self.table.open_session(self.now + self.config.lease), int(self.config.lease)

    @operation
    def keep_alive(self, key: str | None, argument: Any) -> Value:
        self.table.keep_alive(argument, self.now + self.config.lease)
        return int(self.config.lease)

    @operation
    def close_session(self, key: str | None, argument: Any) -> Value:
        self.answer_all(self.table.close_session(argument))

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
    def release(self, key: str | None, argument: Any) -> Value:
        self.answer_all(self.table.release(key or "", argument))

    def request(self, key: str | None, session: Any, patient: int | None, *, shared: bool) -> Value:
        """Puts a session into the queue of a lock, and grants it the lock if it is free."""
        number, outcomes = self.table.request(key or "", session, shared=shared, patience=patient, now=self.now)
        self.callers[number] = self.caller
        self.answer_all(outcomes)
        return PENDING

    def answer_all(self, outcomes: Iterable[TicketOutcome]) -> None:
        """Answers the callers of tickets whose wait is over, and those that wait for a change of holders."""
        for outcome in outcomes:
            caller = self.callers.pop(outcome.ticket)
            if outcome.refused:
                self.refuse(caller, outcome.refused)
            else:
                self.answer(caller, (outcome.token, None))
        for watcher in [watcher for watcher in self.watchers if watcher[1] < self.table.lock(watcher[0]).changed]:
            self.watchers.remove(watcher)
            self.answer(watcher[2], self.holders(watcher[0], None))

    # Changes of holders.

    @operation
    def wait(self, key: str | None, argument: Value) -> Value:
        if type(argument) is not int:
            raise Refused(f"wait takes the revision that its caller knows, not {argument!r}")
        if self.table.lock(key or "").changed > argument:
            return self.holders(key, None)
        self.watchers.append((key or "", argument, self.caller))
        return PENDING

    @query
    def holders(self, key: str | None, argument: Value) -> Value:
        lock = self.table.lock(key or "")
        return lock.changed, lock.holders

    # Time.

    def next_deadline(self) -> int | None:
        return self.table.next_deadline()

    def on_deadline(self) -> None:
        self.answer_all(self.table.pass_deadlines(self.now))

    def snapshot(self) -> bytes:
        table = self.table
        state: Snapshot = (
            table.revision, list(table.locks.items()), list(table.leases.items()), list(table.impatient.items()),
            list(self.callers.items()), self.watchers,
        )  # fmt: skip
        return _encode(state)

    def restore(self, snapshot: bytes) -> None:
        revision, locks, leases, impatient, callers, self.watchers = _decode(snapshot)
        self.table = LockTable(dict(locks), revision, dict(leases), dict(impatient))
        self.callers = dict(callers)


def patience(argument: Value) -> tuple[Any, int]:
    """Returns the session and the patience of a request that does not wait for ever. Raises Refused for anything
    else."""
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
