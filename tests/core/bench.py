"""A bench for one node: the test is the engine, and sees what left, what was committed and what was dropped."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from framework.core.durable import Change, Stored
from framework.core.effects import Complete, Effect, Multicast, Note, Send
from framework.core.message import Message
from framework.core.node import Node
from framework.core.node_runtime import Batch, Deliver, Fire, NodeRuntime, Start
from framework.core.storage import MemoryStorage, Storage, apply_change


class Sent(NamedTuple):
    to: str
    message: Message
    path: str = ""


class Noted(NamedTuple):
    name: str
    fields: dict[str, Any]
    path: str = ""


class Completed(NamedTuple):
    operation: int
    outcome: Any


class MsgpackStorage:
    """Keeps nothing but msgpack bytes, as a storage on disk does: what it loads has lost its types."""

    typed = False

    def __init__(self) -> None:
        self.rows: list[bytes] = []

    def load(self) -> Stored:
        stored: Stored = {}
        for row in self.rows:
            for change in msgspec.msgpack.decode(row, type=list[Change]):
                apply_change(stored, change)
        plain: Stored = msgspec.msgpack.decode(msgspec.msgpack.encode(stored))
        return plain

    def commit(self, changes: Sequence[Change]) -> None:
        self.rows.append(msgspec.msgpack.encode(changes))


class Bench:
    """Drives one node as engines do: a batch is its inputs, then the timers set with after=0, one commit, the effects."""

    def __init__(
        self,
        node_class: type[Node],
        config: Any = None,
        *,
        peers: tuple[str, ...] = ("n2", "n3"),
        node: str = "n1",
        storage: Storage | None = None,
    ) -> None:
        self.node_class, self.config, self.peers, self.id = node_class, config, peers, node
        self.storage = storage if storage is not None else MemoryStorage()
        self.commits: list[list[Change]] = []
        self.left: list[Any] = []  # everything that ever left, in order
        self.now = 0
        self.boot()

    @property
    def node(self) -> Any:
        return self.host.root

    def boot(self) -> list[Any]:
        """Starts, or restarts, the node as a new instance over the same storage."""
        self.host = NodeRuntime(self.id, random.Random(7), self.storage)
        self.host.now = self.host.wall_clock = self.now
        return self._out(self.host.run_one(Start(self.node_class, self.config, self.peers)))

    def step(self, sender: str, message: Message, path: str = "") -> bool:
        """One step of a batch that is still open; False if the mount is gone."""
        if not self.host.has_mount(path):
            return False
        self.host.take(Deliver(path, sender, message, self.host.step + 1))
        return True

    def deliver(self, *inputs: tuple[str, Message] | tuple[str, Message, str]) -> list[Any]:
        """A batch of these (sender, message[, mount path]); what left, in order."""
        for one in inputs:
            assert self.step(*one), f"{one} was dropped"
        return self.finish()

    def advance(self, nanoseconds: int) -> list[Any]:
        """Moves the clock, and fires what falls due, each timer at its deadline in a batch of its own; what left."""
        end, left = self.now + nanoseconds, []
        while self.host.timers:
            deadline = min(timer.deadline for timer in self.host.timers.values())
            if deadline > end:
                break
            self.now = self.host.now = max(deadline, self.now)
            key = self.host.overdue()
            assert key is not None
            left += self._out(self.host.run_one(Fire(key, self.host.step + 1)))
        self.now = self.host.now = end
        return left

    def finish(self) -> list[Any]:
        """Ends the batch; what left, in order."""
        return self._out(self.host.end_batch())

    def _out(self, batch: Batch) -> list[Any]:
        self.last = batch
        left = readable(batch.early)
        if batch.changes:
            self.storage.commit(batch.changes)
            self.commits.append(list(batch.changes))
        left += readable(batch.effects)
        self.left += left
        return left


def readable(effects: Sequence[Effect]) -> list[Any]:
    """Effects without the steps that caused them, each copy of a multicast by itself."""
    return [one for effect in effects for one in _readable(effect)]


def _readable(effect: Effect) -> list[Any]:
    if isinstance(effect, Send):
        return [Sent(effect.to, effect.message, effect.path)]
    if isinstance(effect, Multicast):
        return [Sent(to, effect.message, effect.path) for to in effect.to]
    if isinstance(effect, Note):
        return [Noted(effect.name, effect.fields, effect.path)]
    assert isinstance(effect, Complete)
    return [Completed(effect.operation, effect.outcome)]
