"""The lock server with one mistake at a time. What is right is said in `plugins/protocols/lock_server/invariants.py`,
and in the README there ("README"). The last one is a mistake of the store that the locks guard."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import (
    Address,
    LockTable,
    Message,
    NodeId,
    OperationId,
    ProtocolSpec,
    Ticket,
    TicketOutcome,
    WorkloadSpec,
    handles,
    hookimpl,
    on_timer,
)
from plugins.protocols import lock_server
from plugins.protocols.lock_server.messages import Acquire, Answer, KeepAlive, Release
from plugins.protocols.lock_server.node import Latest, LockServer, LockServerClient, Session
from plugins.workloads import lock as lock_workload
from plugins.workloads.lock.guarded_store import Store, StoredValue, StoreRead

# What survives a crash.


class GrantsEarly(LockServer):
    """A grant is answered before it is durable (README: leases and restarts)."""

    def send(self, to: Address, message: Message, *, mount: str | None = None, before_commit: bool = False) -> None:
        super().send(to, message, mount=mount, before_commit=before_commit or isinstance(message, Answer))


class NumbersAnew(LockServer):
    """The count of tokens, sessions and tickets begins again after a restart (tokens rise)."""

    def on_start(self) -> None:
        self.revision = 0
        super().on_start()


class ForgetsItsQueues(LockServer):
    """Those who wait for a lock are forgotten in a restart (requests kept)."""

    def on_start(self) -> None:
        for name, lock in list(self.locks.items()):
            self.locks[name] = msgspec.structs.replace(lock, waiting=())
        super().on_start()


class ForgetsItsAnswers(LockServer):
    """What clients have asked for last is forgotten in a restart (executed once)."""

    def on_start(self) -> None:
        super().on_start()
        for client, latest in list(self.latest.items()):
            if latest.answer is not None:
                self.latest[client] = Latest(-1)


class RestartsWithHalfLeases(LockServer):
    """After a restart a lease runs for half its length (lease kept)."""

    def recover_times(self) -> None:
        super().recover_times()
        self.table.leases = dict.fromkeys(self.sessions, self.now + self.config.lease // 2)
        self.await_deadline()


# Leases.


class EndsLeasesEarly(LockServer):
    """A lease ends when two thirds of it are over (lease kept)."""

    @on_timer
    def pass_deadlines(self) -> None:
        self.carry_out(self.table.pass_deadlines(self.now + self.config.lease // 3))


class NeverEndsLeases(LockServer):
    """A lease has no end: what a client that has crashed holds, it holds for ever (README: leases and restarts)."""

    @on_timer
    def pass_deadlines(self) -> None:
        for session, end in list(self.table.leases.items()):
            if end <= self.now:
                self.table.keep_alive(session, self.now + self.config.lease)
        super().pass_deadlines()


class RevivesSessions(LockServer):
    """A late renewal revives a session whose locks others have by now (session numbers)."""

    @handles(KeepAlive)
    def on_keep_alive(self, sender: Address, request: KeepAlive) -> None:
        if request.session not in self.sessions:
            self.sessions[request.session] = Session(sender, request.operation)
            self.table.leases[request.session] = self.now + self.config.lease
        super().on_keep_alive(sender, request)


class ForgetsTheQueueOfTheExpired(LockServer):
    """With the lease of a holder those who wait for its lock are forgotten (requests kept)."""

    @on_timer
    def pass_deadlines(self) -> None:
        ended = {session for session, end in self.table.leases.items() if end <= self.now}
        for name, lock in list(self.locks.items()):
            if ended & {*lock.holders}:
                self.locks[name] = msgspec.structs.replace(lock, waiting=())
        super().pass_deadlines()


# Who has a lock.


class ReleasesForAnyone(LockServer):
    """A release takes the lock from its holder, whoever asks for it (released by its holder)."""

    @handles(Release)
    def on_release(self, sender: Address, request: Release) -> None:
        holders = self.table.lock(request.lock).holders
        if holders and request.session not in holders and self.is_new(sender, request.operation):
            self.answer(sender, Answer(request.operation))
            self.carry_out(self.table.release(request.lock, holders[0]))
        else:
            super().on_release(sender, request)


class ServesTheLatest(LockServer):
    """The request that came last is granted first (first come, first served)."""

    @handles(Acquire)
    def on_acquire(self, sender: Address, request: Acquire) -> None:
        super().on_acquire(sender, request)
        lock = self.table.lock(request.lock)
        if lock.waiting:
            newest_first = tuple(sorted(lock.waiting, key=lambda ticket: -ticket.number))
            self.locks[request.lock] = msgspec.structs.replace(lock, waiting=newest_first)


class LetsSharersOvertake(LockServer):
    """A lock that is shared is granted to more who share it while others wait (first come, first served)."""

    @handles(Acquire)
    def on_acquire(self, sender: Address, request: Acquire) -> None:
        lock = self.table.lock(request.lock)
        if not (request.shared and lock.shared and lock.holders and lock.waiting):
            super().on_acquire(sender, request)
            return
        self.locks[request.lock] = msgspec.structs.replace(lock, waiting=())
        super().on_acquire(sender, request)
        granted = self.locks[request.lock]
        self.locks[request.lock] = msgspec.structs.replace(granted, waiting=(*lock.waiting, *granted.waiting))


class SharesItsLocks(LockServer):
    """A lock that one session has alone is granted to one that would share it (one owner)."""

    def on_start(self) -> None:
        super().on_start()
        self.table = Sharing(self.locks, self.revision)
        self.recover_times()


class Sharing(LockTable):
    """Grants a lock in shared mode whoever holds it."""

    def grant(self, name: str) -> list[TicketOutcome]:
        lock = self.locks[name]
        if lock.holders and not lock.shared and lock.waiting and lock.waiting[0].shared:
            self.locks[name] = msgspec.structs.replace(lock, shared=True)
            outcomes = super().grant(name)
            self.locks[name] = msgspec.structs.replace(self.locks[name], shared=False)
            return outcomes
        return super().grant(name)


# How often a request is executed.


class QueuesDuplicates(LockServer):
    """A duplicate of a request that waits queues again (one owner)."""

    @handles(Acquire)
    def on_acquire(self, sender: Address, request: Acquire) -> None:
        lock = self.table.lock(request.lock)
        if any(ticket.session == request.session for ticket in lock.waiting):
            self.table.revision += 1
            self.locks[request.lock] = lock.requested(Ticket(self.table.revision, request.session, request.shared))
            self.waiting[self.table.revision] = next(
                waiting for waiting in dict(self.waiting.items()).values() if waiting.operation == request.operation
            )
            self.carry_out(())
        else:
            super().on_acquire(sender, request)


class ExecutesLateDuplicates(LockServer):
    """Only a client's latest request is recognized: an older one is executed again (executed once)."""

    def is_new(self, client: Address, operation: OperationId) -> bool:
        latest = self.latest.get(client)
        return (latest is not None and operation < latest.operation) or super().is_new(client, operation)


class RefusesRepeatedReleases(LockServer):
    """A release that is repeated is executed again, and refused (executed once)."""

    @handles(Release)
    def on_release(self, sender: Address, request: Release) -> None:
        latest = self.latest.get(sender)
        if latest is not None and latest.operation == request.operation:
            self.answer(sender, Answer(request.operation, refused="not held"))
        else:
            super().on_release(sender, request)


class TakesAnyAnswer(LockServerClient):
    """A client takes an answer to an earlier request for the answer to this one (README: how often)."""

    @handles(Answer)
    def on_answer(self, sender: NodeId, answer: Answer) -> None:
        if self.operation is not None and self.current is not None:
            super().on_answer(sender, msgspec.structs.replace(answer, operation=self.current))


# The store.


class StoreRegistersWritesOnly(LockServer):
    """The store takes note of the tokens of writes only: a read does not keep old writes out (Kleppmann, 2016)."""


class RegistersWritesOnly(Store):
    """A read leaves the highest token as it was."""

    @handles(StoreRead)
    def on_store_read(self, sender: NodeId, read: StoreRead) -> None:
        before = self.stored.get(read.key) or StoredValue()
        super().on_store_read(sender, read)
        after = self.stored.get(read.key)
        if after is not None:
            self.stored[read.key] = msgspec.structs.replace(after, token=before.token)


MUTANTS = (
    Mutant(GrantsEarly, ("workload.keys=1", "workload.shared=0", "workload.impatient=0", "engine.disk_latency=6ms")),
    Mutant(NumbersAnew),
    Mutant(ForgetsItsQueues),
    Mutant(ForgetsItsAnswers),
    Mutant(RestartsWithHalfLeases),
    Mutant(EndsLeasesEarly),
    Mutant(NeverEndsLeases),
    Mutant(RevivesSessions),
    Mutant(ForgetsTheQueueOfTheExpired),
    Mutant(ReleasesForAnyone),
    Mutant(ServesTheLatest),
    Mutant(LetsSharersOvertake),
    Mutant(SharesItsLocks),
    Mutant(QueuesDuplicates),
    Mutant(ExecutesLateDuplicates),
    Mutant(RefusesRepeatedReleases),
    Mutant(TakesAnyAnswer),
    # A careless holder goes on with its write while the next one works between its read and its write. Crashes of the
    # server would extend its lease.
    Mutant(
        StoreRegistersWritesOnly,
        (
            "workload=lock_registering_writes",
            "workload.check_lease=false",
            "workload.hold=40ms",
            "faults.holder.for=105ms",
            "~faults.crash",
        ),
    ),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = lock_server.register_protocols()
    return mutated(itself, MUTANTS)


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    (itself,) = lock_workload.register_workloads()
    summary = "Broken on purpose: a store that takes note of the tokens of writes only."
    return [replace(itself, name="lock_registering_writes", summary=summary, service=RegistersWritesOnly)]
