"""Locks in use: clients acquire a lock, read and write the value that it guards, and release it.

The value is in a store, a node of its own that is the same for every lock. Each access carries the token of its lock. A
fenced store rejects an access with a token below the highest that it has seen, whether in a read or in a write.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from framework import (
    ACQUIRE,
    ACQUIRE_SHARED,
    ACQUIRES,
    EXTEND,
    KEEP_ALIVE,
    MILLISECOND,
    OPEN_SESSION,
    RELEASE,
    Client,
    Config,
    DurableMap,
    Duration,
    Ended,
    Fail,
    FinalPhaseConfig,
    Invocation,
    LockClient,
    Message,
    Node,
    NodeId,
    Ok,
    Operation,
    OperationId,
    Outcome,
    Probability,
    ProtocolSpec,
    Record,
    Status,
    Unknown,
    Workload,
    WorkloadSpec,
    WrappedClientConfig,
    durable_map,
    handles,
    hookimpl,
    on_timer,
)

READ, WRITE = "read", "write"

STORE_RETRY = 100 * MILLISECOND
"""Time that a client waits for the store before it sends its access again."""


class StoreConfig(Config):
    """The store that the locks guard."""

    fencing: bool | None = None
    """Whether it rejects accesses with a token below the highest that it has seen. null: if the lock has tokens. true
    needs a lock with tokens."""


class LockConfig(FinalPhaseConfig):
    """How long clients hold a lock, what they do meanwhile, and how they ask for it."""

    keys: Annotated[int, Meta(ge=1)] = 1
    """Number of locks. Each guards one value of the store, of the same name."""
    accesses: Annotated[int, Meta(ge=0)] = 1
    """Rounds of a read and a write, between acquire and release. 0: clients do not access the store."""
    hold: Duration = Duration("5ms")
    """Time that a holder works between the check of its lease and its write; without accesses, before it releases."""
    shared: Probability = 0.0
    """Probability that a client acquires the lock in shared mode, in which it only reads."""
    impatient: Probability = 0.0
    """Probability that a client gives up after `patience`."""
    patience: Duration = Duration("0")
    """Time that an impatient client waits for a lock; 0: it takes the lock only if it is free."""
    keep_alive: bool = True
    """Whether clients extend their leases."""
    check_lease: bool = True
    """Whether a holder checks, by its own clock, that its lease has not ended, before each access."""
    store: StoreConfig = StoreConfig()

    def __post_init__(self) -> None:
        if self.loop == "open":
            raise ValueError("a client releases the lock that it has acquired: write loop=closed")


# The store.


class StoreRead(Message):
    """Reads the value of `key` under a token."""

    operation: OperationId
    key: str
    token: int | None


class StoreWrite(Message):
    """Replaces the value of `key` under a token."""

    operation: OperationId
    key: str
    token: int | None
    value: str


class Accessed(Message):
    """The outcome of an access: the value before it and its place in the order of accesses to the key, from 1; or why
    the store rejects it."""

    operation: OperationId
    value: str | None = None
    position: int = 0
    rejected: str = ""


class StoredValue(Record):
    """A value with the number of accesses to it, and the highest token that any of them carried; -1: none did."""

    value: str | None = None
    accesses: int = 0
    token: int = -1


class Store(Node):
    """Keeps a value for each lock. It executes each access once, however often and late the message arrives."""

    config: LockConfig
    stored: DurableMap[str, StoredValue] = durable_map(str, StoredValue)
    outcomes: DurableMap[OperationId, Accessed] = durable_map(OperationId, Accessed)

    @handles(StoreRead)
    def on_store_read(self, sender: NodeId, read: StoreRead) -> None:
        if read.operation not in self.outcomes:
            before = self.stored.get(read.key) or StoredValue()
            self.outcomes[read.operation] = self.access(read, before, before.value)
        self.send(sender, self.outcomes[read.operation])

    @handles(StoreWrite)
    def on_store_write(self, sender: NodeId, write: StoreWrite) -> None:
        if write.operation not in self.outcomes:
            before = self.stored.get(write.key) or StoredValue()
            self.outcomes[write.operation] = self.access(write, before, write.value)
        self.send(sender, self.outcomes[write.operation])

    def access(self, request: StoreRead | StoreWrite, before: StoredValue, value: str | None) -> Accessed:
        """Executes an access that leaves `value`, unless its token is too low; returns its outcome."""
        token = -1 if request.token is None else request.token
        if self.config.store.fencing is not False and token < before.token:
            what = f"token {token} is below {before.token}"
            self.note("rejected", key=request.key, token=token, highest=before.token)
            return Accessed(request.operation, rejected=what)
        position = before.accesses + 1
        self.stored[request.key] = StoredValue(value, position, max(token, before.token))
        return Accessed(request.operation, before.value, position)


# The clients.


class LockHolder(Client):
    """Acquires and releases locks with the client of the protocol under test, which it mounts, and accesses the store.

    If the lock has sessions, it opens one and keeps it alive, from a second mount; if leases belong to locks, it extends
    that of the lock that it holds. It accesses the store only while it holds a lock, and with `check_lease` only while
    its lease is valid by its own clock.
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
            self.set_timer(self.release, after=0 if config.accesses else config.hold)
        elif config.check_lease and self.is_expired:
            self.end(Fail("its lease has ended, by its own clock"))
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

    @on_timer
    def release(self) -> None:
        assert self.operation is not None
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
            self.on_acquired(self.operation, *ended.outcome.value)
            return
        self.end(ended.outcome)

    def give_back(self, operation: Operation, outcome: Outcome) -> None:
        """Releases a lock that is granted to an operation which has timed out just before, in the same batch."""
        self.operation = None
        if operation.function in ACQUIRES and isinstance(outcome, Ok):
            self.lock.start(Operation(operation.id, RELEASE, operation.key, self.session))

    def on_acquired(self, operation: Operation, token: int | None, lease: int | None) -> None:
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
            if is_opened:
                self.session, lease = outcome.value
            else:
                lease = outcome.value
            self.expires = self.renewed_at + lease
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

    def schedule_renewal(self) -> None:
        """Sets the time of the next renewal: when a third of the lease is over."""
        if self.settings.keep_alive and self.expires is not None and (self.has_sessions or self.extends):
            self.set_timer(self.renew, after=max(0, self.renewed_at + (self.expires - self.renewed_at) // 3 - self.now))

    # The store.

    @on_timer
    def access(self) -> None:
        """Sends the access under way to the store, and again until it answers."""
        assert self.operation is not None
        operation = self.operation
        (store,), key = self.roles["service"], operation.key or ""
        if operation.function == READ:
            self.send(store, StoreRead(operation.id, key, operation.argument))
        else:
            token, value = operation.argument
            self.send(store, StoreWrite(operation.id, key, token, value))
        self.set_timer(self.access, after=STORE_RETRY)

    @handles(Accessed)
    def on_accessed(self, sender: NodeId, accessed: Accessed) -> None:
        if self.operation is None or accessed.operation != self.operation.id:
            return  # a second answer
        self.cancel_timer(self.access)
        if accessed.rejected:
            self.end(Fail(accessed.rejected))
        else:
            self.end(Ok((accessed.value, accessed.position)))


# The workload.


@dataclass
class Turn:
    """What a client does next. `token` is that of its lock; `left` are the accesses that it has still to make."""

    key: str
    shared: bool
    token: int | None
    left: list[str]


class LockWorkload(Workload):
    """Each client takes turns: it acquires a lock, reads and writes its value in rounds, and releases it.

    Rows of the history: `acquire` and its variants with the patience in nanoseconds as argument, or None, and the token
    as result; `read` with the token, `write` with the token and the new value, both with the value before the access and
    its place in the order of all accesses to the key as result; `release`.
    """

    config: LockConfig

    def __init__(self, config: LockConfig) -> None:
        super().__init__(config)
        self.turns: dict[NodeId, Turn] = {}  # of clients that hold a lock
        self.written: dict[NodeId, int] = {}
        self.tried: dict[NodeId, int] = {}  # in the final phase

    def functions(self) -> tuple[str, ...]:
        config = self.config
        modes = [ACQUIRE] * (config.shared < 1) + [ACQUIRE_SHARED] * (config.shared > 0)
        patient = modes if config.impatient < 1 else [ACQUIRE] * (config.shared < 1)
        impatient = [f"try_{mode}" for mode in modes] if config.impatient > 0 else []
        accesses = [READ, WRITE] if config.accesses else []
        return (*dict.fromkeys([*patient, ACQUIRE, *impatient, *accesses, RELEASE]),)

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        if client in self.turns:
            return self.within_turn(client, self.turns[client])
        config = self.config
        key = f"l{1 + int(rng.random() * config.keys)}"
        shared, impatient = rng.random() < config.shared, rng.random() < config.impatient
        function = ACQUIRE_SHARED if shared else ACQUIRE
        return (f"try_{function}", key, int(config.patience)) if impatient else (function, key, None)

    def within_turn(self, client: NodeId, turn: Turn) -> Invocation:
        """Returns the next operation of a client that holds a lock."""
        if not turn.left:
            return RELEASE, turn.key, None
        if turn.left.pop(0) == READ:
            return READ, turn.key, turn.token
        self.written[client] = self.written.get(client, 0) + 1
        return WRITE, turn.key, (turn.token, f"{client}.{self.written[client]}")

    def completed(self, client: NodeId, operation: Operation, outcome: Outcome) -> None:
        if operation.function in ACQUIRES and isinstance(outcome, Ok):
            shared = operation.function.endswith("shared")
            rounds = [READ] if shared else [READ, WRITE]
            assert operation.key is not None
            self.turns[client] = Turn(operation.key, shared, outcome.value, rounds * self.config.accesses)
        elif operation.function == RELEASE or isinstance(outcome, Unknown):
            self.turns.pop(client, None)
        elif isinstance(outcome, Fail) and client in self.turns:  # the store has rejected it, or its lease has ended
            self.turns[client].left.clear()

    def is_busy(self, client: NodeId) -> bool:
        return client in self.turns

    def final(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        if client in self.turns:
            return self.within_turn(client, self.turns[client])
        tried = self.tried[client] = self.tried.get(client, 0) + 1
        return (ACQUIRE, f"l{tried}", None) if tried <= self.config.keys else None


def check_tokens(config: LockConfig, protocol: ProtocolSpec) -> None:
    """Raises ValueError if the store is fenced and the lock has no tokens."""
    client = protocol.client
    if config.store.fencing and config.accesses and issubclass(client, LockClient) and not client.gives_tokens:
        raise ValueError(f"{protocol.name} has no fencing tokens: write workload.store.fencing=false")


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="lock",
            summary="Clients acquire locks, and access a store that the locks guard.",
            workload=LockWorkload,
            config=LockConfig,
            service=Store,
            client=LockHolder,
            operations=(READ, WRITE),
            requires=(ACQUIRE, RELEASE),
            validate=check_tokens,
        )
    ]
