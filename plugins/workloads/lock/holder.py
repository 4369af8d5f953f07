"""The client that holds a lock: it acquires and releases it, and accesses the store meanwhile."""

from __future__ import annotations

from typing import TypeGuard

from framework import (
    ACQUIRES,
    EXTEND,
    KEEP_ALIVE,
    MILLISECOND,
    OPEN_SESSION,
    RELEASE,
    Client,
    Ended,
    Fail,
    NodeId,
    Ok,
    Operation,
    Outcome,
    PluginError,
    Status,
    Unknown,
    Value,
    WrappedClientConfig,
    handles,
    on_timer,
)
from plugins.workloads.lock.config import LockConfig
from plugins.workloads.lock.guarded_store import Accessed, StoreRead, StoreWrite

READ, WRITE = "read", "write"
"""The functions that access the store."""

HOLD = "hold"
"""The function that works under a lock without access to the store."""

STORE_RETRY = 100 * MILLISECOND
"""Time that a client waits for the store before it sends its access again."""


class LockHolder(Client):
    """Acquires and releases locks with the client of the protocol under test, which it mounts, and accesses the store.

    If the lock has sessions, it opens one and keeps it alive, from a second mount; if leases belong to locks, it
    extends that of the lock that it holds. It accesses the store only while it holds a lock, and with `check_lease`
    only while its lease is valid by its own clock.
    """

    config: WrappedClientConfig

    def on_start(self) -> None:
        lock, operations = self.config.protocol, self.config.operations
        self.lock = self.mount("lock", lock.client, lock.config, self.servers, peer_mount="")
        self.has_sessions = OPEN_SESSION in operations
        self.extends = EXTEND in operations and self.settings.keep_alive
        if self.has_sessions:
            self.keeper = self.mount("keeper", lock.client, lock.config, self.servers, peer_mount="")
        self.session: int | None = None
        """The session, while it is open as far as this client knows."""
        self.latest, self.renewals = 0, 0
        """The id of the latest operation, and the number of renewals since; both number the renewals."""
        self.asked_at = 0
        """When the operation under way on a lock began, by `now`."""
        self.renewed_at = 0
        """When the last lease, or its renewal under way, began, by `now`."""
        self.operation: Operation | None = None
        """The operation under way, while it has to go on."""
        self.held: str | None = None
        """The lock that this client holds."""
        self.is_release_due = False
        """Whether it releases the lock once the extension under way has ended."""
        self.expires: int | None = None
        """When its lease ends, by `now`; None: never."""

    @property
    def settings(self) -> LockConfig:
        workload = self.config.workload
        assert isinstance(workload, LockConfig)
        return workload

    @property
    def status(self) -> Status:
        if self.held is not None:
            return Status(roles=("holder",))
        waits = self.operation is not None and self.operation.function in ACQUIRES
        return Status(roles=("waiter",) if waits else ())

    @property
    def is_expired(self) -> bool:
        """Whether its lease has ended, by its own clock."""
        return self.expires is not None and self.now >= self.expires

    def invoke(self, operation: Operation) -> None:
        self.operation, self.latest, self.renewals = operation, operation.id + 1, 0
        config = self.settings
        if operation.function in ACQUIRES:
            self.acquire(operation)
        elif self.held is None:
            self.end(Fail("this client holds no lock"))
        elif operation.function == RELEASE:
            self.release()
        elif config.check_lease and self.is_expired:
            self.end(Fail("its lease has ended, by its own clock"))
        elif operation.function == HOLD:
            self.set_timer(self.finish, after=config.hold)
        else:
            self.set_timer(self.access, after=config.hold if operation.function == WRITE else 0)

    def end(self, outcome: Outcome) -> None:
        """Ends the operation under way."""
        assert self.operation is not None
        operation, self.operation = self.operation, None
        self.complete(operation.id, outcome)

    # Acquire and release.

    def acquire(self, operation: Operation) -> None:
        """Asks for the lock, in a session if there are sessions."""
        if not self.has_sessions:
            self.session = operation.id
        elif self.session is None or self.is_expired:
            if self.keeper.current is None:  # else a late answer may still extend the lease
                self.session = None
            self.renew()
            return
        argument = self.session if operation.argument is None else (self.session, operation.argument)
        self.asked_at = self.now
        self.lock.start(Operation(operation.id, operation.function, operation.key, argument))

    def release(self) -> None:
        """Gives the lock back, once the extension under way has ended."""
        assert self.operation is not None
        if self.session is None:
            self.held = None
            self.end(Fail("its session has ended, and the lock with it"))
            return
        self.is_release_due = self.lock.current is not None  # it extends its lease, and releases the lock then
        if not self.is_release_due:
            self.lock.start(Operation(self.operation.id, RELEASE, self.held, self.session))

    @handles(Ended)
    def on_ended(self, mount: str, ended: Ended) -> None:
        if ended.operation < 0:
            self.on_renewed(ended.outcome)
            return
        if self.operation is None:
            return  # a lock that came too late has been given back
        assert self.operation.id == ended.operation
        if self.current is None:
            self.give_back(self.operation, ended.outcome)
            return
        if self.operation.function == RELEASE:
            self.held = None
            if self.extends:
                self.cancel_timer(self.renew)
        elif isinstance(ended.outcome, Ok):
            self.on_acquired(self.operation, ended.outcome.value)
            return
        self.end(ended.outcome)

    def give_back(self, operation: Operation, outcome: Outcome) -> None:
        """Releases a lock that is granted to an operation which has timed out just before, in the same batch."""
        self.operation = None
        if operation.function in ACQUIRES and isinstance(outcome, Ok):
            self.lock.start(Operation(operation.id, RELEASE, operation.key, self.session))

    def on_acquired(self, operation: Operation, value: Value) -> None:
        if not is_pair(value):
            raise self.misfit(operation.function, value, "(token, lease)")
        token, lease = value
        self.held = operation.key
        if not self.has_sessions:
            self.renewed_at = self.asked_at
            self.expires = None if lease is None else self.asked_at + lease
            self.schedule_renewal()
        self.end(Ok(token))

    # Leases.

    @on_timer
    def renew(self) -> None:
        """Opens a session, or extends the lease of the session or of the lock."""
        mounted = self.keeper if self.has_sessions else self.lock
        if mounted.current is not None:
            return  # it does so already, or releases the lock
        self.renewals += 1
        self.renewed_at = self.now
        number = -(self.latest << 20) - self.renewals
        if not self.has_sessions:
            mounted.start(Operation(number, EXTEND, self.held, self.session))
        elif self.session is None:
            mounted.start(Operation(number, OPEN_SESSION))
        else:
            mounted.start(Operation(number, KEEP_ALIVE, None, self.session))

    def on_renewed(self, outcome: Outcome) -> None:
        is_opened = self.has_sessions and self.session is None
        if isinstance(outcome, Ok):
            lease = outcome.value
            if is_opened:
                if not is_pair(lease):
                    raise self.misfit(OPEN_SESSION, lease, "(session, lease)")
                self.session, lease = lease
            if not is_number(lease):
                raise self.misfit(KEEP_ALIVE if self.has_sessions else EXTEND, lease, "lease")
            self.expires = None if lease is None else self.renewed_at + lease
            self.schedule_renewal()
        elif self.has_sessions:
            self.session = None
        if self.operation is None or self.lock.current is not None:
            return
        if self.is_release_due:
            self.release()
        elif self.has_sessions and self.operation.function in ACQUIRES:  # it waits for a session
            if is_opened and self.session is None:
                self.end(outcome)
            else:
                self.acquire(self.operation)

    def misfit(self, function: str, value: Value, expected: str) -> PluginError:
        """Returns the error about a result that a lock does not have."""
        where, what = f"protocol {self.config.protocol.name}", f"{function} has the result {value!r}"
        return PluginError(where, what, f"It must be {expected}: see docs/locks.md.")

    def schedule_renewal(self) -> None:
        """Sets the time of the next renewal: when a third of the lease is over."""
        if self.settings.keep_alive and self.expires is not None and (self.has_sessions or self.extends):
            self.set_timer(self.renew, after=max(0, self.renewed_at + (self.expires - self.renewed_at) // 3 - self.now))

    # The work.

    @on_timer
    def finish(self) -> None:
        """Ends the work without access to the store."""
        self.end(Ok())

    @on_timer
    def access(self) -> None:
        """Sends the access under way to the store, and again until it answers, as long as the lease lasts."""
        assert self.operation is not None
        operation = self.operation
        (store,), key = self.roles["service"], operation.key or ""
        if operation.function == READ:
            self.send(store, StoreRead(operation.id, key, operation.argument))
        else:
            token, value = operation.argument
            self.send(store, StoreWrite(operation.id, key, token, value))
        self.set_timer(self.access_again, after=STORE_RETRY)

    @on_timer
    def access_again(self) -> None:
        """Sends the access again, which the store has not answered. The first message may still arrive."""
        if self.settings.check_lease and self.is_expired:
            self.end(Unknown("its lease has ended, by its own clock, and the store has not answered"))
        else:
            self.access()

    @handles(Accessed)
    def on_accessed(self, sender: NodeId, accessed: Accessed) -> None:
        if self.operation is None or accessed.operation != self.operation.id:
            return  # a second answer
        self.cancel_timer(self.access_again)
        if accessed.rejected:
            self.end(Fail(accessed.rejected))
        else:
            self.end(Ok((accessed.value, accessed.position)))


def is_number(value: Value) -> TypeGuard[int | None]:
    """Returns whether a value is a token, a session or a lease; None is one that does not exist."""
    return value is None or type(value) is int


def is_pair(value: Value) -> TypeGuard[tuple[int | None, int | None]]:
    """Returns whether a value is a pair of such numbers."""
    return isinstance(value, tuple) and len(value) == 2 and all(map(is_number, value))
