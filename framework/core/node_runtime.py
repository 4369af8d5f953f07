"""The runtime of one node: runs the steps of a batch, and collects the batch's effects and durable changes.

An engine feeds a node in batches. It writes the row of an input to the trace before the input's step; the row's number
is the step's number:

    runtime.now = runtime.wall_clock = now
    batch = runtime.run([Deliver("", "n2", message, step=seq)])
    send(batch.early)           # does not wait for the commit
    commit(batch.changes)
    send(batch.effects)         # waits for the commit

A batch is: one step for each input; one step for each timer whose deadline has passed, the earliest first; then one for
each timer set with after=0, in the order in which they were set, until none is left. The runtime asks the engine for
the number of a timer's step: `on_timer_step(key, cause) -> step`. Steps of a batch have consecutive numbers. An
exception in a handler propagates, and the batch is lost: the runtime then holds neither effects nor changes.

A node and its mounts share one runtime: one clock, one random stream, one batch, one commit. What a batch costs does
not depend on the number of idle mounts: nodes register their durable changes, and timers wait in a heap.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any, TypeAlias

import msgspec

from framework.core.address import Address, below, is_within
from framework.core.client import Client, Operation
from framework.core.durable import (
    ATOMS,
    LOG,
    MAP,
    Change,
    LogWritten,
    MapWritten,
    MountDropped,
    ScalarSet,
    Stored,
    check_immutable,
)
from framework.core.effects import Complete, Effect
from framework.core.errors import RAISED, PluginError
from framework.core.message import Event, Message, NodeId
from framework.core.node import Node, SetTimer, TimerEntry, TimerKey
from framework.core.storage import Storage
from framework.core.time import NEVER

EXACT = frozenset((bool, int, str, bytes, type(None)))
"""The types for which equality means identity: equal values of the same type are interchangeable. Not so for others:
0.0 == -0.0, and a tuple, frozenset or Record of 0 equals one of False."""

SOON_LIMIT = 10_000
"""The maximum number of timers with after=0 in one batch. A node that sets more is taken to loop forever."""


ORDERS_KEPT = 100
"""The number of groups of durable fields whose order a node keeps."""


class Start(msgspec.Struct, frozen=True, gc=False):
    """Creates the node from its storage, and runs its `on_start`."""

    node_class: type[Node]
    config: Any
    peers: tuple[NodeId, ...]
    spare: bool = False
    step: int = -1


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """A message for the mount `path`, which must exist (see `NodeRuntime.has_mount`).

    `sender` is a node's name, which means its mount at the same path, or the address of another mount.
    """

    path: str
    sender: Address
    message: Message
    step: int = -1


class Fire(msgspec.Struct, frozen=True, gc=False):
    """The firing of a timer that is set, whatever its deadline."""

    key: TimerKey
    step: int = -1


class Invoke(msgspec.Struct, frozen=True, gc=False):
    """The start of a client's operation, which times out after `timeout` nanoseconds; 0: never."""

    operation: Operation
    timeout: int
    step: int = -1


Input: TypeAlias = Start | Deliver | Fire | Invoke


class Batch(msgspec.Struct, frozen=True, gc=False):
    """The output of a batch: effects that leave before its commit, durable changes, effects that leave after it.

    Each effect names the step that caused it. `last` is the number of the last step.
    """

    early: Sequence[Effect]
    changes: Sequence[Change]
    effects: Sequence[Effect]
    last: int


class NodeRuntime:
    """Runs one node with everything mounted in it. Engines own its attributes; protocols never see it.

    `active` has, after a batch of a node with mounts, the nodes that took part in it, by mount path: they took a step,
    told, sent or noted something, started or ended an operation, or changed a durable field that is not lazy.
    `is_durable`: whether changes are collected. If False, `Batch.changes` is empty whatever the node declares. `roles`
    are the nodes of the run by role.
    """

    __slots__ = (
        "_has_mounts",
        "_idle",
        "_involved",
        "_lazy_leaving",
        "_leaving",
        "_orders",
        "_queue",
        "_timers_set",
        "active",
        "dirty",
        "early",
        "effects",
        "id",
        "is_durable",
        "lazy",
        "nodes",
        "now",
        "on_timer_step",
        "plain",
        "rng",
        "roles",
        "soon",
        "step",
        "stored",
        "tells",
        "timers",
        "wake",
        "wall_clock",
    )

    def __init__(
        self,
        node_id: NodeId,
        rng: random.Random,
        storage: Storage | None = None,
        *,
        on_timer_step: Callable[[TimerKey, int], int] | None = None,
        is_durable: bool = True,
        roles: Mapping[str, tuple[NodeId, ...]] | None = None,
    ) -> None:
        self.id = node_id
        self.rng = rng
        self.on_timer_step = on_timer_step or self._next_step
        self.is_durable = is_durable
        self.roles: Mapping[str, tuple[NodeId, ...]] = roles or {}
        self.now = 0
        self.wall_clock = 0
        self.effects: list[Effect] = []  # of the batch under way; they leave after the commit
        self.early: list[Effect] = []  # they leave before the commit
        self.step = -1  # the step under way: the cause of its effects
        self.timers: dict[TimerKey, SetTimer] = {}
        self.soon: dict[TimerKey, int] = {}  # set with after=0 -> the step that set it
        self.wake = NEVER  # no later than the earliest deadline
        self.nodes: dict[str, Node] = {}  # mount path -> node
        self.tells: list[tuple[str, str, Message]] = []  # (parent path, mount name, event)
        self.stored: Stored = storage.load() if storage is not None else {}
        self.plain: set[str] = (
            set() if storage is None or storage.typed else set(self.stored)
        )  # not yet converted to the declared types
        self.dirty: dict[tuple[Node, str], None] = {}  # durable fields set since the last commit
        self.lazy: dict[tuple[Node, str], None] = {}  # lazy ones
        self.active: dict[str, Node] = {}
        self._involved: dict[str, Node] = {}  # `active` of the batch under way
        self._has_mounts = False  # whether there are nodes besides the root
        self._leaving: list[Change] = []  # changes of mounts that were unmounted in this batch
        self._lazy_leaving: list[Change] = []  # lazy changes of mounts that were unmounted since the last commit
        self._queue: list[TimerEntry] = []  # a heap, with entries of timers that are not set any more
        self._idle: dict[TimerKey, SetTimer] = {}  # timers that are not set and still have an entry in the queue
        self._timers_set = 0
        self._orders: dict[tuple[tuple[Node, str], ...], Sequence[tuple[Node, str]]] = {}  # see `_dirty_as_declared`

    @property
    def root(self) -> Node:
        return self.nodes[""]

    def has_mount(self, path: str) -> bool:
        """Returns whether a node is mounted at `path`. A message for a missing mount is dropped, and takes no step."""
        return path in self.nodes

    # A batch.

    def run(self, inputs: Iterable[Input] = ()) -> Batch:
        """Runs a batch of `inputs` and due timers. Takes an input from `inputs` only after the previous one's step."""
        try:
            for given in inputs:
                self._take(given)
            while self.wake <= self.now and (key := self.overdue()) is not None:
                self._fire(key, self.on_timer_step(key, self.timers[key].step))
            return self._end()
        except RAISED:
            self._abandon()
            raise

    def run_one(self, given: Input) -> Batch:
        """Runs a batch of this input alone. Overdue timers stay set."""
        try:
            self._take(given)
            return self._end()
        except RAISED:
            self._abandon()
            raise

    def deliver_one(self, path: str, sender: Address, message: Message, step: int) -> Batch:
        """Equals `run_one` of a message, with `deliver` and `_end` inlined: calling them costs the simulator 2%."""
        try:
            self.step = step
            node = self.nodes[path]
            handler = node._handlers.get(type(message))
            if handler is None:
                raise self._nobody_handles(node, sender, message)
            if path:
                self._involved[path] = node
                sender = node._seen(sender)
            handler(node, sender, message)
            if self.tells:
                self.settle()
            if self.soon:
                self._fire_soon()
            early, effects = self.early, self.effects
            if self._has_mounts:
                self._note_active(early, effects)
            changes = self._changes() if self.dirty or self._leaving else ()
            if early:
                self.early = []
            if effects:
                self.effects = []
            return Batch(early or (), changes, effects or (), self.step)
        except RAISED:
            self._abandon()
            raise

    def take(self, given: Input) -> None:
        """Runs one step ahead of its batch: its effects and changes belong to the batch that runs next."""
        try:
            self._take(given)
        except RAISED:
            self._abandon()
            raise

    def deliver(self, path: str, sender: Address, message: Message, step: int) -> None:
        """Equals `take` of a message."""
        try:
            self.step = step
            node = self.nodes[path]
            handler = node._handlers.get(type(message))
            if handler is None:
                raise self._nobody_handles(node, sender, message)
            if path:
                self._involved[path] = node
                sender = node._seen(sender)
            handler(node, sender, message)
            if self.tells:
                self.settle()
        except RAISED:
            self._abandon()
            raise

    def end_batch(self) -> Batch:
        """Ends the batch of the steps that `take` ran. Fires their timers with after=0; overdue timers stay set."""
        try:
            return self._end()
        except RAISED:
            self._abandon()
            raise

    def next_timer(self) -> tuple[TimerKey, int] | None:
        """Returns the timer that the batch under way fires next, and the step that set it; None if there is none."""
        key = self.overdue() if self.wake <= self.now else None
        if key is not None:
            return key, self.timers[key].step
        return next(iter(self.soon.items()), None)

    # Steps.

    def _take(self, given: Input) -> None:
        if type(given) is Deliver:
            self.deliver(given.path, given.sender, given.message, given.step)
        elif type(given) is Invoke:
            self.step = given.step
            client: Client = self.nodes[""]  # type: ignore[assignment]
            client._begin(given.operation, given.timeout)
        elif type(given) is Fire:
            self._fire(given.key, given.step)
        else:
            assert isinstance(given, Start)
            self.step = given.step
            node = given.node_class._at_runtime(self, "", given.config, given.peers, given.spare)
            node.on_start()
            self.settle()
            node._check_state()
        if self.tells:
            self.settle()

    def _fire(self, key: TimerKey, step: int) -> None:
        self.step = step
        self.disarm(key)
        self.soon.pop(key, None)
        path, name, arguments = key
        node = self.nodes[path]
        if path:
            self._involved[path] = node
        getattr(node, name)(*arguments)
        if self.tells:
            self.settle()

    def _end(self) -> Batch:
        """Fires the timers with after=0, and collects the batch's effects and changes."""
        if self.soon:
            self._fire_soon()
        early, effects = self.early, self.effects
        if self._has_mounts:
            self._note_active(early, effects)
        changes = self._changes() if self.dirty or self._leaving else ()
        if early:
            self.early = []
        if effects:
            self.effects = []
        return Batch(early or (), changes, effects or (), self.step)

    def _changes(self) -> Sequence[Change]:
        """Returns the changes to commit: none, unless a field that is not lazy has changed or a mount has ended."""
        changes, self._leaving = self._leaving, []
        mounted = self.nodes.get  # see `_is_mounted`
        if self.is_durable:
            for node, field in self.dirty if len(self.dirty) < 2 else self._dirty_as_declared():
                if mounted(node._path) is node:
                    collect_change(node, field, changes)
        self.dirty.clear()
        if not self.is_durable or not changes:
            return ()
        if self._lazy_leaving:
            changes += self._lazy_leaving
            self._lazy_leaving = []
        if self.lazy:
            for node, field in _as_declared(self.lazy):
                if mounted(node._path) is node:
                    collect_change(node, field, changes)
            self.lazy.clear()
        return changes

    def _dirty_as_declared(self) -> Sequence[tuple[Node, str]]:
        """Returns `dirty` in the order of `_as_declared`. A node without mounts sets the same few groups of fields again
        and again, so their orders are kept."""
        fields = tuple(self.dirty)
        order = self._orders.get(fields)
        if order is None:
            order = _as_declared(self.dirty)
            if not self._has_mounts and len(self._orders) < ORDERS_KEPT:
                self._orders[fields] = order
        return order

    def _is_mounted(self, node: Node) -> bool:
        """Returns whether the node takes part; one that its parent has unmounted may still be held and changed by
        it."""
        return self.nodes.get(node._path) is node

    def _note_active(self, early: Iterable[Effect], effects: Iterable[Effect]) -> None:
        """Sets `active` to the nodes that took part in the batch."""
        involved, nodes = self._involved, self.nodes
        for effect in (*early, *effects):
            if type(effect) is not Complete and effect.path and effect.path in nodes:  # type: ignore[union-attr]
                involved[effect.path] = nodes[effect.path]  # type: ignore[union-attr]
        involved.update((node._path, node) for node, _ in self.dirty if self._is_mounted(node))
        self.active, self._involved = involved, {}

    def _fire_soon(self) -> None:
        fired = 0
        while self.soon:
            key, cause = next(iter(self.soon.items()))
            self._fire(key, self.on_timer_step(key, cause))
            fired += 1
            if fired > SOON_LIMIT:
                raise PluginError(
                    type(self.root).__qualname__,
                    f"{key[1]} is set with after=0 without end",
                    "Set it once a batch, or with a delay.",
                )

    def _abandon(self) -> None:
        """Discards the batch under way and the node: nothing leaves or is kept."""
        self.effects, self.early, self.tells, self._leaving, self._lazy_leaving = [], [], [], [], []
        for kept in (self.soon, self.timers, self.nodes, self.dirty, self.lazy, self.active, self._involved):
            kept.clear()
        self._queue.clear()
        self._idle.clear()
        self._orders.clear()
        self.wake = NEVER

    def _next_step(self, key: TimerKey, cause: int) -> int:
        return self.step + 1

    def overdue(self) -> TimerKey | None:
        """Returns the overdue timer with the earliest deadline, or None. Sets `wake` to the earliest deadline."""
        queue, timers = self._queue, self.timers
        while queue:
            entry = queue[0]
            at, order, key = entry
            timer = timers.get(key)
            if timer is None or timer.entry is not entry:  # not set, or set to an earlier time
                heappop(queue)
                idle = self._idle.get(key)
                if idle is not None and idle.entry is entry:
                    del self._idle[key]
            elif timer.order != order or timer.deadline != at:  # put off, or set again
                timer.entry = (timer.deadline, timer.order, key)
                heapreplace(queue, timer.entry)
            else:
                self.wake = at
                return key if at <= self.now else None
        self.wake = NEVER
        return None

    def arm(self, key: TimerKey, deadline: int) -> None:
        """Sets a timer that is not set."""
        self._timers_set = order = self._timers_set + 1
        timer = self._idle.pop(key, None)
        if timer is not None and timer.entry[0] <= deadline:  # its entry is early enough
            timer.deadline, timer.step, timer.order = deadline, self.step, order
            self.timers[key] = timer
            return
        self.timers[key] = timer = SetTimer(key, deadline, self.step, order)
        self._enqueue(timer.entry)

    def bring_forward(self, key: TimerKey, timer: SetTimer) -> None:
        """Queues a timer whose deadline has become earlier than its entry in the queue."""
        timer.entry = (timer.deadline, timer.order, key)
        self._enqueue(timer.entry)

    def disarm(self, key: TimerKey) -> None:
        """Cancels a timer that has a delay. Does nothing if it is not set."""
        timer = self.timers.pop(key, None)
        if timer is not None:
            self._idle[key] = timer

    def _enqueue(self, entry: TimerEntry) -> None:
        if entry[0] < self.wake:
            self.wake = entry[0]
        queue = self._queue
        if len(queue) > 64 + 4 * len(self.timers):  # most entries are outdated
            self._idle.clear()
            for timer in self.timers.values():
                timer.entry = (timer.deadline, timer.order, timer.entry[2])
            queue[:] = [timer.entry for timer in self.timers.values()]
            heapify(queue)
        else:
            heappush(queue, entry)

    def mounted(self, node: Node) -> None:
        """Called when `node` has been mounted."""
        self._involved[node._path] = node
        self._has_mounts = True

    def settle(self) -> None:
        """Passes every event to its parent, oldest first, within the same step."""
        while self.tells:
            path, name, event = self.tells.pop(0)
            parent = self.nodes.get(path)
            if parent is not None:
                if path:
                    self._involved[path] = parent
                child = below(path, name)
                if child in self.nodes:
                    self._involved[child] = self.nodes[child]
                handler = parent._handlers.get(type(event))
                if handler is None and isinstance(event, Event):
                    continue
                if handler is None:
                    raise PluginError(
                        type(parent).__qualname__,
                        f"mount {name!r} passes on {type(event).__name__}, which its parent does not handle",
                        f"Write @handles({type(event).__name__}) in it.",
                    )
                handler(parent, name, event)

    def _nobody_handles(self, node: Node, sender: NodeId, message: Message) -> PluginError:
        return PluginError(
            type(node).__qualname__,
            f"{self.id} got {type(message).__name__} from {sender} and has no handler for it",
            f"Write @handles({type(message).__name__}), or send it elsewhere.",
        )

    def unmount(self, path: str, destroy: bool) -> None:
        """Ends the mount `path` and all below it; with `destroy`, deletes their durable state too."""
        for gone in [known for known in self.nodes if is_within(known, path)]:
            node = self.nodes.pop(gone)
            for field, declared in node._declared.items():
                collect_change(node, field, self._lazy_leaving if declared.is_lazy else self._leaving)
                (self.lazy if declared.is_lazy else self.dirty).pop((node, field), None)
            self._involved.pop(gone, None)
            self.stored[gone] = node._durable_values()
        self._has_mounts = len(self.nodes) > 1
        if destroy:
            self._lazy_leaving = [change for change in self._lazy_leaving if not is_within(change.path, path)]
            self._leaving.append(MountDropped(path))
            for gone in [known for known in self.stored if is_within(known, path)]:
                del self.stored[gone]
                self.plain.discard(gone)
        self.timers = {key: timer for key, timer in self.timers.items() if key[0] in self.nodes}
        self.soon = {key: step for key, step in self.soon.items() if key[0] in self.nodes}
        self.tells = [tell for tell in self.tells if f"{tell[0]}/{tell[1]}".lstrip("/") in self.nodes]


def _as_declared(fields: Mapping[tuple[Node, str], None]) -> list[tuple[Node, str]]:
    """Returns the fields of each node in the order in which its class declares them."""
    nodes = dict.fromkeys(node for node, _ in fields)
    return [(node, field) for node in nodes for field in node._durable if (node, field) in fields]


def collect_change(node: Node, field: str, changes: list[Change]) -> None:
    """Appends the change of a durable field since it was last collected to `changes`; nothing if it has not changed.

    A composite scalar counts as changed whenever it is a different object. Raises PluginError if a scalar was given a
    mutable value.
    """
    kind, value = node._durable[field], node.__dict__[field]
    if kind is LOG:
        if value._dirty >= 0:
            first, start, entries = value.change()
            changes.append(LogWritten(node._path, field, first, start, entries))
    elif kind is MAP:
        if value._dirty:
            puts, deleted = value.change()
            changes.append(MapWritten(node._path, field, puts, deleted))
    else:
        old = node._committed[field]
        if value is not old and (value != old or type(value) is not type(old) or type(value) not in EXACT):
            if type(value) not in ATOMS:
                check_immutable(value, f"{type(node).__qualname__}.{field}")
            node._committed[field] = value
            changes.append(ScalarSet(node._path, field, value))
