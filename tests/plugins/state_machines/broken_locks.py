"""Lock machines that are broken on purpose, as a plugin: what is wrong with each is in its docstring."""

from __future__ import annotations

from typing import Any

import msgspec

from framework import LockTable, Refused, StateMachineSpec, Value, hookimpl, operation
from plugins.state_machines.lock import LockMachine, LockMachineConfig


class ForgetsTheCount(LockMachine):
    """The count of tokens is not in the snapshot, and begins again at the number of sessions."""

    def restore(self, snapshot: bytes) -> None:
        super().restore(snapshot)
        self.table.revision = len(self.table.leases)


class ReusesTokens(LockMachine):
    """A machine that has restored a snapshot gives the token of each lock's last holder to the next one, too."""

    def restore(self, snapshot: bytes) -> None:
        super().restore(snapshot)
        self.table.revision = max([lock.token - 2 for lock in self.table.locks.values()], default=0)


class ForgetsSessions(LockMachine):
    """The sessions are not in the snapshot."""

    def restore(self, snapshot: bytes) -> None:
        super().restore(snapshot)
        self.table.leases.clear()


class ForgetsCallers(LockMachine):
    """Those who wait are in the snapshot as tickets, and not as callers to be answered."""

    def restore(self, snapshot: bytes) -> None:
        super().restore(snapshot)
        for name, lock in self.table.locks.items():
            self.table.locks[name] = msgspec.structs.replace(lock, waiting=())
        self.callers.clear()
        self.table.impatient.clear()


class ForgetsPatience(LockMachine):
    """When tickets give up is not in the snapshot."""

    def restore(self, snapshot: bytes) -> None:
        super().restore(snapshot)
        self.table.impatient.clear()


class RevivesSessions(LockMachine):
    """A late renewal revives a session that has ended."""

    @operation
    def keep_alive(self, key: str | None, argument: Any) -> Value:
        if argument not in self.table.leases:
            self.table.leases[argument] = self.now + self.config.lease
        return super().keep_alive(key, argument)


class LatestFirst(LockTable):
    """Grants a lock to the ticket that came last."""

    def grant(self, name: str) -> Any:
        lock = self.locks[name]
        newest_first = tuple(sorted(lock.waiting, key=lambda ticket: -ticket.number))
        self.locks[name] = msgspec.structs.replace(lock, waiting=newest_first)
        return super().grant(name)


class ServesTheLatest(LockMachine):
    """The request that came last is granted first."""

    def __init__(self, config: LockMachineConfig | None = None) -> None:
        super().__init__(config)
        self.table = LatestFirst()


class LeavesLocksToTheEnded(LockMachine):
    """A session whose lease has ended keeps its locks."""

    def on_deadline(self) -> None:
        for session in [session for session, end in self.table.leases.items() if end <= self.now]:
            del self.table.leases[session]
        super().on_deadline()


class EndsLeasesEarly(LockMachine):
    """A lease ends when half of it is over."""

    def next_deadline(self) -> int | None:
        deadline = super().next_deadline()
        return None if deadline is None else deadline - self.config.lease // 2

    def on_deadline(self) -> None:
        self.answer_all(self.table.pass_deadlines(self.now + self.config.lease // 2))


class ReleasesForAnyone(LockMachine):
    """A release takes the lock from its holder, whoever asks for it."""

    @operation
    def release(self, key: str | None, argument: Any) -> Value:
        holders = self.table.lock(key or "").holders
        if not holders:
            raise Refused("nobody holds it")
        return super().release(key, holders[0])


BROKEN: dict[str, type[LockMachine]] = {
    "lock_forgets_the_count": ForgetsTheCount,
    "lock_reuses_tokens": ReusesTokens,
    "lock_forgets_sessions": ForgetsSessions,
    "lock_forgets_callers": ForgetsCallers,
    "lock_forgets_patience": ForgetsPatience,
    "lock_revives_sessions": RevivesSessions,
    "lock_serves_the_latest": ServesTheLatest,
    "lock_leaves_locks_to_the_ended": LeavesLocksToTheEnded,
    "lock_ends_leases_early": EndsLeasesEarly,
    "lock_releases_for_anyone": ReleasesForAnyone,
}


@hookimpl
def register_state_machines() -> list[StateMachineSpec]:
    checkers = ("guarded_store", "fencing_tokens", "lock_progress")
    return [
        StateMachineSpec(
            name=name, summary="Broken on purpose.", machine=machine, config=LockMachineConfig, checkers=checkers
        )
        for name, machine in BROKEN.items()
    ]
