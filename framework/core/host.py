"""The seat of one node: what its verbs write to and what an engine reads from.

An engine drives a host so, once for each batch:

    host.now = host.wall_clock = now
    host.step = seq                             # before each step: the trace row that it is
    host.deliver("", "n2", message)             # one step for each input of the batch
    while (soon := host.take_soon()):           # timers set with after=0, each a step
        host.fire(soon[0])
    changes = host.changes()                    # commit them, then let the effects leave
    for effect in host.effects: ...
    host.effects.clear()

A host and all that is mounted in it share one clock, one random stream, one list of effects and one commit.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from framework.core.durable import ATOMS, DROP, LOG, MAP, SCALAR, Change, Stored, check_immutable
from framework.core.errors import PluginError
from framework.core.message import Message, NodeId
from framework.core.storage import Storage
from framework.core.time import NEVER

if TYPE_CHECKING:
    from framework.core.node import Node

SEND, MULTICAST, NOTE, COMPLETE = 0, 1, 2, 3

EXACT = frozenset((bool, int, str, bytes, type(None)))
"""Of two values of the same one of these types that compare equal, either may stand for the other: 0.0 == -0.0, and a
tuple, frozenset or Record of 0 equals one of False."""

Effect: TypeAlias = tuple[int, Any, Any, Any]
"""What a step asks the engine to do:

    (SEND, to, path, message) · (MULTICAST, (to, …), path, message) · (NOTE, name, fields, path) · (COMPLETE, operation id, outcome, path)
"""

TimerKey: TypeAlias = tuple[str, str, tuple[Any, ...]]
"""(mount path, method name, arguments): setting the same timer again replaces it."""


class Host:
    """One node with everything mounted in it. Engines own its attributes; protocols never see it."""

    __slots__ = (
        "_leaving",
        "early",
        "effects",
        "id",
        "nodes",
        "now",
        "plain",
        "rng",
        "soon",
        "step",
        "stored",
        "tells",
        "timers",
        "wake",
        "wall_clock",
    )

    def __init__(self, node_id: NodeId, rng: random.Random, storage: Storage | None = None) -> None:
        self.id = node_id
        self.rng = rng
        self.now = 0
        self.wall_clock = 0
        self.effects: list[Effect] = []  # leave after the commit
        self.early: list[Effect] = []  # leave before it
        self.step = -1  # the `seq` of the step under way: the cause of all it does
        self.timers: dict[TimerKey, tuple[int, int]] = {}  # key -> (deadline on the node's clock, the step that set it)
        self.soon: dict[TimerKey, int] = {}  # set with after=0 -> the step that set it
        self.wake = NEVER  # no later than the earliest deadline
        self.nodes: dict[str, Node] = {}  # mount path -> node
        self.tells: list[tuple[str, str, Message]] = []  # (parent path, mount name, event)
        self.stored: Stored = storage.load() if storage is not None else {}
        self.plain: set[str] = (
            set() if storage is None or storage.typed else set(self.stored)
        )  # not yet of the declared types
        self._leaving: list[Change] = []  # changes of mounts that were unmounted in this batch

    @property
    def root(self) -> Node:
        return self.nodes[""]

    def boot(self, node_class: type[Node], config: Any, peers: tuple[NodeId, ...], spare: bool = False) -> None:
        """Makes the node, restores its durable fields and runs `on_start`: one step, to be committed like any other."""
        node = node_class._seat(self, "", config, peers, spare)
        node.on_start()
        self.settle()
        node._check_state()

    def deliver(self, path: str, sender: NodeId, message: Message) -> bool:
        """One step: the handler of `message`. False if the mount `path` is gone and the message is dropped."""
        node = self.nodes.get(path)
        if node is None:
            return False
        handler = node._handlers.get(type(message))
        if handler is None:
            raise PluginError(
                type(node).__qualname__,
                f"{self.id} got {type(message).__name__} from {sender} and has no handler for it",
                f"Write @handles({type(message).__name__}), or send it elsewhere.",
            )
        handler(node, sender, message)
        if self.tells:
            self.settle()
        return True

    def fire(self, key: TimerKey) -> None:
        """One step: the timer `key`, which is no longer set."""
        self.timers.pop(key, None)
        path, name, arguments = key
        getattr(self.nodes[path], name)(*arguments)
        if self.tells:
            self.settle()

    def take_soon(self) -> tuple[TimerKey, int] | None:
        """Takes the oldest timer that was set with after=0, with the step that set it; None if there is none."""
        if not self.soon:
            return None
        key = next(iter(self.soon))
        return key, self.soon.pop(key)

    def due(self) -> TimerKey | None:
        """The timer with the earliest deadline that has passed, or None; `wake` becomes the earliest deadline of the others.

        The caller fires it before it asks again.
        """
        best: TimerKey | None = None
        earliest = second = NEVER
        for key, (deadline, _) in self.timers.items():
            if deadline < earliest:
                best, earliest, second = key, deadline, earliest
            elif deadline < second:
                second = deadline
        if earliest > self.now:
            self.wake = earliest
            return None
        self.wake = second
        return best

    def settle(self) -> None:
        """Hands every `tell` to its parent, oldest first, within the same step."""
        while self.tells:
            path, name, event = self.tells.pop(0)
            parent = self.nodes.get(path)
            if parent is not None:
                handler = parent._handlers.get(type(event))
                if handler is None:
                    raise PluginError(
                        type(parent).__qualname__,
                        f"mount {name!r} tells {type(event).__name__}, which nobody handles",
                        f"Write @handles({type(event).__name__}) in it.",
                    )
                handler(parent, name, event)

    def changes(self) -> list[Change]:
        """What this batch changed in durable fields since the last call."""
        changes, self._leaving = self._leaving, []
        for node in self.nodes.values():
            if node._durable:
                node._collect(changes)
        return changes

    def unmount(self, path: str, destroy: bool) -> None:
        """Ends the mount `path` and all below it; with `destroy`, their durable state too."""
        for gone in [known for known in self.nodes if known == path or known.startswith(path + "/")]:
            node = self.nodes.pop(gone)
            node._collect(self._leaving)
            self.stored[gone] = node._durable_values()
        if destroy:
            self._leaving.append((DROP, path))
            for gone in [known for known in self.stored if known == path or known.startswith(path + "/")]:
                del self.stored[gone]
                self.plain.discard(gone)
        self.timers = {key: at for key, at in self.timers.items() if key[0] in self.nodes}
        self.soon = {key: step for key, step in self.soon.items() if key[0] in self.nodes}
        self.tells = [tell for tell in self.tells if f"{tell[0]}/{tell[1]}".lstrip("/") in self.nodes]


def collect_changes(
    node: Node, path: str, committed: dict[str, Any], fields: Mapping[str, str], changes: list[Change]
) -> None:
    """Appends to `changes` what differs from `committed`, and brings `committed` up to date.

    `committed` holds the scalars' values, and the logs and maps themselves. A value that is made of others counts as
    changed whenever it is another object. PluginError if a scalar was given a value that can change, or a log or map
    was replaced by another.
    """
    values = node.__dict__
    for field, kind in fields.items():
        value, old = values[field], committed[field]
        if kind is SCALAR:
            if value is not old and (value != old or type(value) is not type(old) or type(value) not in EXACT):
                if type(value) not in ATOMS:
                    check_immutable(value, f"{type(node).__qualname__}.{field}")
                committed[field] = value
                changes.append((SCALAR, path, field, value))
        elif value is not old:
            raise PluginError(
                f"{type(node).__qualname__}.{field}",
                f"a durable {kind} cannot be replaced",
                "Change it in place: truncate, append, set, delete.",
            )
        elif kind is LOG:
            if value._dirty >= 0:
                changes.append((LOG, path, field, *value.change()))
        elif value._dirty:
            changes.append((MAP, path, field, *value.change()))
