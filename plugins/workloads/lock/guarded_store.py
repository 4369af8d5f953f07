"""The store that locks guard: a node of its own, the same for every lock.

Each access carries the token of its lock. A fenced store rejects an access with a token below the highest that it has
seen, whether in a read or in a write.
"""

from __future__ import annotations

from framework import DurableMap, Message, Node, NodeId, OperationId, Record, durable_map, handles
from plugins.workloads.lock.config import LockConfig


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
