"""The turns of clients: what each does next."""

from __future__ import annotations

import random
from dataclasses import dataclass

from framework import (
    ACQUIRE,
    ACQUIRE_SHARED,
    ACQUIRES,
    RELEASE,
    Fail,
    Invocation,
    LockClient,
    NodeId,
    Ok,
    Operation,
    Outcome,
    ProtocolSpec,
    Unknown,
    Workload,
)
from plugins.workloads.lock.config import LockConfig
from plugins.workloads.lock.holder import HOLD, READ, WRITE


@dataclass
class Turn:
    """What a client does next. `token` is that of its lock; `left` is the work that it has still to do."""

    key: str
    shared: bool
    token: int | None
    left: list[str]


class LockWorkload(Workload):
    """Each client takes turns: it acquires a lock, reads and writes its value in rounds, and releases it.

    Rows of the history: `acquire` and its variants with the patience in nanoseconds as argument, or None, and the token
    as result; `read` with the token, `write` with the token and the new value, both with the value before the access
    and its place in the order of all accesses to the key as result; `hold`, in turns without accesses; `release`.
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
        patient = modes if config.impatient < 1 else []
        impatient = [f"try_{mode}" for mode in modes] if config.impatient > 0 else []
        work = [READ, WRITE] if config.accesses else [HOLD] if config.hold else []
        return (*dict.fromkeys([*patient, ACQUIRE, *impatient, *work, RELEASE]),)

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
        function = turn.left.pop(0)
        if function == HOLD:
            return HOLD, turn.key, None
        if function == READ:
            return READ, turn.key, turn.token
        self.written[client] = self.written.get(client, 0) + 1
        return WRITE, turn.key, (turn.token, f"{client}.{self.written[client]}")

    def completed(self, client: NodeId, operation: Operation, outcome: Outcome) -> None:
        if operation.function in ACQUIRES and isinstance(outcome, Ok):
            shared = operation.function.endswith("shared")
            rounds = [READ] if shared else [READ, WRITE]
            assert operation.key is not None
            work = rounds * self.config.accesses or [HOLD] * bool(self.config.hold)
            self.turns[client] = Turn(operation.key, shared, outcome.value, work)
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
