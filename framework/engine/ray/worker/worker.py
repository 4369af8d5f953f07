"""A worker: one process's share of a run. It owns its nodes or clients, and everything happens in the thread of its
loop.

Messages that arrive wait in the nodes' inboxes. A tick, once per turn of the loop, makes one batch for each node with
waiting work, for as many nodes as the transport wants: a step for each input, overdue timers, timers with after=0. Then effects marked
`before_commit` leave; one commit makes the changes of these nodes durable; then all other effects leave, with one write
for each connection. While the commit is in flight the loop receives, but no node takes input.
"""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, TypeAlias

import msgspec

from framework.core.address import sender_of, split_route
from framework.core.durable import Change
from framework.core.effects import Complete, Effect, Multicast, Note, Send
from framework.core.errors import RAISED
from framework.core.message import Message, NodeId
from framework.core.node import TimerKey
from framework.core.node_runtime import Batch, Invoke, NodeRuntime, Start
from framework.core.random_streams import stream
from framework.core.replica import ReplicaState
from framework.core.status import Status
from framework.core.storage import Storage, StorageDamaged, StorageFailure
from framework.core.time import NEVER, SECOND
from framework.engine.base import NodeCrash
from framework.engine.ray.disk.commits import Commits, MemoryCommits
from framework.engine.ray.disk.database import Commit, StorageError
from framework.engine.ray.transport.frames import (
    HEADER,
    HEADER_SIZE,
    LENGTH_SIZE,
    MAX_FRAME,
    FrameError,
    check_length,
    whole_frames,
)
from framework.engine.ray.worker.alarm import Alarm
from framework.engine.ray.worker.local_faults import LocalFaults
from framework.engine.ray.worker.outgoing import Outgoing, Transport
from framework.engine.ray.worker.setup import Setup
from framework.engine.ray.worker.trace_rows import EventRows, start_payload
from framework.engine.ray.worker.worker_node import Envelope, WorkerNode, make_worker_nodes
from framework.engine.shared.client_driver import ClientDriver
from framework.engine.shared.node_life import GONE, NodeLife, check_own
from framework.engine.shared.status_rows import StatusRows
from framework.engine.tally import Tally
from framework.engine.wire_codec import Wire
from framework.faults.commit_fate import CommitFate
from framework.faults.disk_faults import FaultyStorage
from framework.trace.recorder import HistoryWriter
from framework.trace.schema import EventKind, as_json

REJECT_ROWS = 1_000
"""Number of refused connections that a worker records one by one; further ones are only counted."""

INBOX_BYTES = 64 << 20
"""Bytes that may arrive during a round of ticks before a worker stops reading from its connections. A round takes all
nodes with waiting work once."""

_unpack = HEADER.unpack_from

Ran: TypeAlias = tuple[WorkerNode, NodeRuntime, Batch]
"""A node that has run a batch, and the runtime that ran it; a restart since then has replaced the node's runtime."""


class Worker:
    """Drives the nodes or clients of one process. Its owner sets `transport`, `commits` and the two origins of time
    before the first `boot`."""

    def __init__(self, setup: Setup, loop: asyncio.AbstractEventLoop, rows: EventRows | None = None) -> None:
        experiment = setup.experiment
        self.setup, self.experiment, self.loop, self.rows = setup, experiment, loop, rows
        self.wire = Wire(experiment.protocol)
        self.tally = Tally()
        self.rejected_count = 0
        self.on_storage_failed: Callable[[NodeCrash], None] = lambda crash: None
        self.transport: Transport | None = None
        self.zero = 0  # the run's start on this machine's monotonic clock
        self.epoch = 0  # the run's start on the wall clock
        self.commits: Commits = MemoryCommits()
        self.clients: ClientDriver | None = None  # None if it hosts none
        self.history: HistoryWriter | None = None  # of its clients
        self.life = NodeLife(self)
        self._look = StatusRows(self.life, self).look
        self._inbox_bytes = 0
        self._when_landed: list[Callable[[], None]] = []
        self._names = experiment.endpoints
        self._index = {name: index for index, name in enumerate(self._names)}
        self.nodes: dict[int, WorkerNode] = make_worker_nodes(setup, self._index)
        self._delivered = [0] * len(self.wire.names)
        self._dirty: list[WorkerNode] = []  # nodes with waiting work, for the next round of ticks
        self._round: list[WorkerNode] = []  # nodes that wait for their tick in the round under way
        self._scheduled = False
        self._flying: Commit = ()  # the commit in flight
        self._undone: set[NodeId] = set()  # nodes whose part of it a crash undoes
        self._wakes: list[tuple[int, int]] = []
        self.faults = LocalFaults(self)
        self.outgoing = Outgoing(self, self._index, self.faults.link_faults)
        self._now = 0  # the time at which the batches under way began
        self._alarm = Alarm(loop, self.now, self._ring)
        self._ended = False

    @property
    def crashes(self) -> list[NodeCrash]:
        return self.life.crashes

    def node(self, name: NodeId) -> WorkerNode:
        """Returns a node that this worker hosts."""
        return self.nodes[self._index[name]]

    # Inputs.

    def take(self, data: bytes) -> int:
        """Takes the whole frames at the start of `data`; returns their size in bytes. Raises FrameError."""
        at, end = 0, len(data)
        nodes, decode, endpoints = self.nodes, self.wire.decode, len(self._names)
        try:
            while end - at >= HEADER_SIZE:
                length, index, source, target, route_length, seq = _unpack(data, at)
                if length > MAX_FRAME or length < HEADER_SIZE:
                    check_length(length, route_length)
                if source >= endpoints:
                    raise FrameError(f"a frame from endpoint {source}; there are {endpoints}")
                stop = at + LENGTH_SIZE + length
                if stop > end:
                    break
                body = at + HEADER_SIZE
                route = ""
                if route_length:
                    route = data[body : body + route_length].decode()
                    body += route_length
                node = nodes[target]
                payload = data[body:stop]
                message = decode[index](payload)
                at = stop
                if node.drops_input:
                    self.outgoing.drop(source, target, route, message, index, seq, stop - body, f"{node.id} is down")
                    continue
                node.inbox.append((route, source, message, index, seq, stop - body))
                if not node.dirty:
                    node.dirty = True
                    self._dirty.append(node)
        except msgspec.ValidationError as error:
            raise FrameError(f"{self._names[source]} sent {self.wire.misfit(index, error)}") from error
        except (LookupError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise FrameError(f"a frame that is not of this run: {type(error).__name__}: {error}") from error
        finally:
            self._inbox_bytes += at
            if self._dirty:
                self._schedule()
        return at

    @property
    def flooded(self) -> bool:
        """True if so much input waits for the nodes that reading should stop."""
        return self._inbox_bytes > INBOX_BYTES

    def lost(self, peer: str, frames: bytes) -> None:
        """Records frames that will never reach their worker."""
        for index, source, target, route, seq, payload in whole_frames(frames):
            message, why = self._decoded(index, payload), f"{self._names[target]} is down"
            self.outgoing.drop(source, target, route, message, index, seq, len(payload), why)

    def _decoded(self, index: int, payload: bytes) -> Message | None:
        """Returns the message if its operation is to be recorded; else None. Also None for one that does not fit its
        class, which its receiver would have refused."""
        if self.rows is None or not self.wire.has_operation[index]:
            return None
        try:
            return self.wire.decode[index](payload)
        except msgspec.ValidationError:
            return None

    def rejected(self, why: str) -> None:
        """Records a connection that was refused, or closed because of its input."""
        self.rejected_count += 1
        if self.rows is not None and self.rejected_count <= REJECT_ROWS:
            first = next(iter(self.nodes))
            self.rows.row(EventKind.REJECT, self.now(), -1, first, payload=why.encode())

    def end(self) -> None:
        """Ends all activity of the worker."""
        self._ended = True
        self._alarm.close()
        if self.transport is not None:
            self.transport.close()

    def snapshot(self) -> Tally:
        """Returns the tally so far, with the messages by name."""
        names = zip(self.wire.names, self._delivered, strict=True)
        self.tally.messages = {name: count for name, count in names if count}
        return self.tally

    # The tick.

    def _tick(self) -> None:
        self._scheduled = False
        if self._flying or self._ended:
            return
        transport = self.transport
        assert transport is not None
        if self._round:
            dirty, self._round = self._round, []
        else:
            dirty, self._dirty = self._dirty, []
            if self.flooded:
                transport.resume()
            self._inbox_bytes = 0
        if len(dirty) > transport.tick_nodes:
            dirty, self._round = dirty[: transport.tick_nodes], dirty[transport.tick_nodes :]
        ran: list[Ran] = []
        self._now = now = self.now()
        wall_clock = now + self.epoch
        for node in dirty:
            node.dirty = False
            runtime = node.runtime
            if runtime is not None:
                if node.clock is None:
                    runtime.now, runtime.wall_clock = now, wall_clock
                else:
                    node.set_clocks(runtime, now, self.epoch)
                batch = self._batch(node, runtime)
                if batch is not None:
                    ran.append((node, runtime, batch))
        commit, latency = self._collect(ran), 0
        if commit:
            refused, latency = self.faults.refuse(commit)
            if refused:
                commit = [(owner, changes) for owner, changes in commit if owner not in refused]
                for node, runtime, batch in ran:
                    if node.id in refused and node.runtime is runtime:
                        self.life.storage_failed(node, StorageFailure(refused[node.id], asked=True), batch.last)
        if not commit:
            self._land(ran, commit)
            return
        if self.rows is not None:
            self.rows.write_through()  # a restarted node sees what it committed
        self._flush()
        self._flying = commit
        self._arm()  # for messages that the links hold back
        if latency:
            self.loop.call_later(latency / SECOND, self._commit, ran, commit)
        else:
            self._commit(ran, commit)

    def _commit(self, ran: list[Ran], commit: Commit) -> None:
        if not self._ended:
            self.commits.commit(commit, lambda why: self._landed(ran, commit, why))

    def _batch(self, node: WorkerNode, runtime: NodeRuntime) -> Batch | None:
        """Runs all waiting inputs of a node as one batch; returns None if a handler raised."""
        inbox = node.inbox
        try:
            if not inbox:
                batch = runtime.run()
            else:
                node.inbox = []
                route, source, message, index, seq, size = inbox[0]
                if len(inbox) > 1 or route or runtime.wake <= runtime.now:
                    self._deliver(node, runtime, inbox)
                    batch = runtime.run()
                else:  # clients' usual batch
                    self._delivered[index] += 1
                    self.tally.steps += 1
                    step = -1 if self.rows is None else self._delivery(node, source, message, index, seq, size)
                    batch = runtime.deliver_one("", self._names[source], message, step)
        except RAISED as error:
            self.life.raised(node, error)
            return None
        if runtime.wake < node.wake_at:
            self.queue(node, runtime)
        return batch

    def _deliver(self, node: WorkerNode, runtime: NodeRuntime, inbox: list[Envelope]) -> None:
        """Takes a step for each message whose mount exists. `_delivery` is inlined for speed."""
        rows, delivered, names, has_operation = self.rows, self._delivered, self._names, self.wire.has_operation
        now, tally, to, deliver, step = self._now, self.tally, node.index, runtime.deliver, -1
        for route, source, message, index, seq, size in inbox:
            path, sender = "", names[source]
            if route:
                path, origin = split_route(route)
                if not runtime.has_mount(path):
                    why = f"{node.id} has no mount {path!r}"
                    self.outgoing.drop(source, to, route, message, index, seq, size, why)
                    continue
                sender = sender_of(sender, path, origin)
            delivered[index] += 1
            tally.steps += 1
            if rows is not None:
                operation = message.operation if has_operation[index] else None  # type: ignore[attr-defined]
                step = rows.deliver(now, seq, to, source, route, index, size, operation)
            deliver(path, sender, message, step)

    def _delivery(self, node: WorkerNode, source: int, message: Message, index: int, seq: int, size: int) -> int:
        """Records the step that takes a message for the node itself; returns its number."""
        assert self.rows is not None
        operation = message.operation if self.wire.has_operation[index] else None  # type: ignore[attr-defined]
        return self.rows.deliver(self._now, seq, node.index, source, "", index, size, operation)

    def timer_step(self, node: WorkerNode, key: TimerKey, cause: int) -> int:
        self.tally.steps += 1
        if self.rows is None:
            return -1
        if node.runtime is not None and key in node.runtime.timers:
            node.look_at = 0
        return self.rows.row(EventKind.TIMER, self._now, cause, node.index, key[0], name=key[1])

    def _collect(self, ran: list[Ran]) -> list[tuple[NodeId, Sequence[Change]]]:
        """Releases the early effects, and returns the changes to be made durable."""
        commit: list[tuple[NodeId, Sequence[Change]]] = []
        for node, runtime, batch in ran:
            if batch.changes:
                try:
                    self.commits.encode(node.id, batch.changes)
                except RAISED as error:
                    self.life.raised(node, error)
                    continue
                commit.append((node.id, batch.changes))
            if batch.early:
                self._leave(node, runtime, batch.early)
        return commit

    def _landed(self, ran: list[Ran], commit: Commit, why: str) -> None:
        """Ends the commit; `why` is the reason of its failure, or "". A failed commit is never retried: its nodes
        crash."""
        self._flying, undone, self._undone = (), self._undone, set()
        if self._ended:
            return
        why = why or self._take_back(undone)
        if why:
            for node, runtime, batch in ran:
                if node.runtime is runtime:
                    self.life.storage_failed(node, StorageFailure(f"storage failed: {why}"), batch.last)
            self._land([], [])  # the worker's other nodes go on
        else:
            self._land(ran, [part for part in commit if part[0] not in undone] if undone else commit)
        waiting, self._when_landed = self._when_landed, []
        for work in waiting:
            work()

    def _take_back(self, nodes: set[NodeId]) -> str:
        """Undoes the part of these nodes in the commit that has just landed. Returns the reason of a failure, or ""."""
        try:
            if nodes:
                self.commits.undo(nodes)
        except sqlite3.Error as error:
            return str(error)
        return ""

    def _land(self, ran: list[Ran], commit: Commit) -> None:
        if commit:
            self.tally.fsyncs += 1
            for owner, _ in commit:
                self.tally.force(owner)
            if self.rows is not None:
                self._commit_rows(ran, commit)
        for node, runtime, batch in ran:
            if batch.effects and node.runtime is runtime:
                self._leave(node, runtime, batch.effects)
            if self.rows is not None and node.runtime is runtime:
                self._look_at(node, runtime)
        if self.clients is not None:
            self._begin_due(self.clients)
        self._flush()
        if self.rows is not None:
            self.rows.flush_if_due()
        if self._dirty or self._round:
            self._schedule()
        self._arm()

    def _look_at(self, node: WorkerNode, runtime: NodeRuntime) -> None:
        """Looks at the node's status after a batch, now or as soon as its time has come."""
        now = self.now()
        if now >= node.look_at and not self._look(node, now, runtime.step):
            return
        if not node.look_is_due and node.look_at < NEVER:
            node.look_is_due = True
            self.loop.call_later((node.look_at - now) / SECOND, self._look_late, node, runtime)

    def _look_late(self, node: WorkerNode, runtime: NodeRuntime) -> None:
        if node.runtime is runtime and node.look_is_due and not self._ended:
            node.look_is_due = False
            self._look_at(node, runtime)
            if self.rows is not None:
                self.rows.flush_if_due()

    def _flush(self) -> None:
        """Writes the waiting rows to the tail, then sends what waits for other workers. So the trace holds every event
        that others have seen, even if the process is killed."""
        transport = self.transport
        assert transport is not None
        if transport.waiting:
            if self.rows is not None:
                self.rows.write_through()
            transport.flush()

    def _commit_rows(self, ran: list[Ran], commit: Commit) -> None:
        assert self.rows is not None
        now, last = self.now(), {node.id: batch.last for node, _, batch in ran}
        for owner, changes in commit:
            self.rows.row(EventKind.COMMIT, now, last[owner], self._index[owner], size=len(changes))

    # Effects.

    def _leave(self, node: WorkerNode, runtime: NodeRuntime, effects: Sequence[Effect]) -> None:
        """Releases effects, each with its own step as the cause."""
        send = self.outgoing.send
        try:
            for effect in effects:
                if type(effect) is Send:
                    send(node, effect.to, effect.path, effect.message, effect.step)
                elif type(effect) is Complete:
                    assert self.clients is not None
                    self.clients.complete(node, effect.operation, effect.outcome, effect.step, self.now())
                elif type(effect) is Multicast:
                    self.outgoing.multicast(node, effect.to, effect.path, effect.message, effect.step)
                else:
                    assert type(effect) is Note
                    self.tally.note(node.id, effect, self.now())
                    node.look_at = 0
                    self.record(
                        EventKind.NOTE,
                        self.now(),
                        effect.step,
                        node,
                        effect.path,
                        name=effect.name,
                        fields=effect.fields,
                    )
        except RAISED as error:
            check_own(node, error)
            if node.runtime is runtime:
                self.life.raised(node, error)

    def record(
        self, kind: EventKind, at: int, cause: int, node: WorkerNode, path: str = "", *, name: str | None = None,
        fields: Mapping[str, Any] | None = None, payload: bytes | None = None, size: int = -1, operation: int | None = None,
    ) -> int:  # fmt: skip
        """Writes a row, if the trace is full, and returns its `seq`."""
        if self.rows is None:
            return -1
        told = payload if fields is None else as_json(fields)
        return self.rows.row(kind, at, cause, node.index, path, name=name, payload=told, size=size, operation=operation)

    # Start, crash, restart.

    def boot(self, node: WorkerNode, storage: Storage | None, cause: int = -1) -> None:
        """Creates the node from its storage and runs `on_start`; its effects leave with the next commit."""
        name = node.id if not node.incarnation else f"{node.id}#{node.incarnation}"
        if storage is not None and self.faults.damaged(node.id):
            storage = FaultyStorage(storage, "damage")
        self.life.boot(node, storage, stream(self.experiment.seed, "node", name), cause)
        self.wake(node)

    def start(self, node: WorkerNode, runtime: NodeRuntime, cause: int) -> None:
        """Takes the first step of an incarnation."""
        node.drops_input = False
        node.forget_wake_up()
        now = self.now()
        node.set_clocks(runtime, now, self.epoch)
        step = -1
        if self.rows is not None:
            payload = start_payload(node.incarnation, self.epoch, runtime.stored, node.clock)
            step = self.rows.row(EventKind.START, now, cause, node.index, payload=payload)
        self.tally.steps += 1
        runtime.take(Start(node.node_class, node.config, node.peers, node.spare, step))

    def refuse(self, node: WorkerNode, why: str, cause: int = -1) -> None:
        """Marks a node as lost, since its storage cannot be read."""
        node.on("boot")
        self.life.stop(node, "damage", why, cause)

    def restart(self, name: NodeId, cause: int = -1) -> None:
        """Boots a node that is down from what it had committed, once no commit is in flight."""
        if self._flying:
            self._when_landed.append(lambda: self.restart(name, cause))
            return
        node = self.node(name)
        node.turns += 1
        if node.runtime is not None or node.state in GONE:
            return
        node.incarnation += 1
        node.routes = {}
        if self.clients is not None:
            self.boot(node, None, cause)
            self.clients.restarted(node)
            return
        try:
            storage = self.commits.storage(name)
        except StorageError as error:
            node.on("boot")
            self.life.storage_failed(node, StorageDamaged(f"storage damaged: {error}"), cause)
        else:
            self.boot(node, storage, cause)

    def crash(self, name: NodeId, why: str, cause: int = -1, fate: CommitFate = "kept") -> CommitFate | None:
        """Discards a node and all that waits for it, on behalf of a fault; its committed state stays.

        Returns the fate of its commit in flight; None if there was none. A torn commit is lost here, since other nodes
        share the file.
        """
        node = self.node(name)
        node.turns += 1
        if node.runtime is None:  # it stopped by itself before the order came
            return None
        fate = "lost" if fate == "torn" else fate
        flying = any(owner == name for owner, _ in self._flying)
        if flying and fate != "kept":
            self._undone.add(name)
        self.life.stop(node, "crash", why, cause, asked=True)
        if self.clients is not None:
            self.clients.crashed(node)
        return fate if flying else None

    def stopped(self, node: WorkerNode) -> None:
        """Drops all that waits for a node that has stopped."""
        node.drops_input = True
        self.tally.stopped(node.id, self.now())
        inbox, node.inbox = node.inbox, []
        for route, source, message, index, seq, size in inbox:
            self.outgoing.drop(source, node.index, route, message, index, seq, size, f"{node.id} crashed")
        if self.clients is not None:
            self.clients.stopped(node)

    def disk_fault_met(self, node: WorkerNode) -> None:
        """Counts a commit or a restart that has met the node's faulty disk."""
        self.faults.meets(node.id)

    def storage_failed(self, node: WorkerNode, crash: NodeCrash) -> None:
        """Reports a node that has stopped because of its storage to the driver, which may restart it."""
        if self.rows is not None:
            self.rows.write_through()  # the process may be killed soon
        self.on_storage_failed(crash)

    def statuses(self) -> dict[NodeId, Status | None]:
        """Returns the status of each node: None for one that is down, absent for one that no restart brings back."""
        shown = {node.id: self.life.status(node) for node in self.nodes.values()}
        return {node.id: shown[node.id] for node in self.nodes.values() if node.state not in GONE}

    def can_serve(self, running: Collection[NodeId]) -> bool | None:
        """Returns whether the nodes `running` are enough to serve, in the view of the nodes that run here; None if
        none says."""
        return self.life.can_serve(self.nodes.values(), running)

    def replica_states(self, *, whole: bool) -> dict[NodeId, dict[str, ReplicaState] | None]:
        """Returns the replica of each node: None for one that is down, absent for one that no restart brings back or
        that keeps no replica."""
        found = self.life.replica_states(self.nodes.values(), whole=whole)
        down = [node.id for node in self.nodes.values() if node.runtime is None and node.state not in GONE]
        return {**found, **dict.fromkeys(down)}

    def node_copies(self) -> dict[NodeId, bytes]:
        """Returns the nodes that run, pickled (see `Node.__getstate__`)."""
        return {node.id: pickle.dumps(node.runtime.root) for node in self.nodes.values() if node.runtime is not None}

    # Clients.

    def prepare_clients(self) -> None:
        """Prepares the load, if this worker hosts clients; it begins with `begin_load`."""
        first = self.setup.first_client
        if first is not None:
            nodes = self.nodes.values()
            self.clients = ClientDriver(self.experiment, nodes, self, self.tally, self.history, first)

    def begin_load(self) -> None:
        """Begins the load, if this worker hosts clients."""
        if self.clients is not None:
            self._begin_due(self.clients)

    @property
    def is_load_finished(self) -> bool:
        """True if every operation has ended and none will start."""
        return self.clients is not None and not self.clients.outstanding and self.clients.next_at >= NEVER

    def begin_final(self) -> None:
        """Begins the final phase of the workload, if this worker hosts clients."""
        if self.clients is not None:
            self.clients.begin_final()
            self._schedule()

    def end_clients(self) -> None:
        """Ends the open operations and closes the history."""
        if self.clients is not None:
            self.clients.close(self.now())
        if self.history is not None:
            self.history.close()

    def _begin_due(self, clients: ClientDriver) -> None:
        if clients.next_at <= self.now():
            clients.begin_due()
        if self.history is not None:
            self.history.flush_if_due()

    def invoke(self, node: WorkerNode, runtime: NodeRuntime, given: Invoke, now: int) -> None:
        """Has a client take its operation, as the first step of its next batch."""
        node.set_clocks(runtime, now, self.epoch)
        self.tally.steps += 1
        try:
            runtime.take(given)
        except RAISED as error:
            self.life.raised(node, error)
            return
        self.wake(node)

    def reboot(self, node: WorkerNode, cause: int) -> None:
        """Starts a client's next process."""
        node.incarnation += 1
        node.inbox = []
        self.boot(node, None, cause)

    def soon(self, call: Callable[[], None]) -> None:
        """Calls `call` once the effects of the batch under way have left."""
        self.loop.call_soon(lambda: None if self._ended else call())

    def load_changed(self, at: int) -> None:
        """Does nothing: the next tick checks the load."""

    def operation_ended(self) -> None:
        """Does nothing: the driver checks `is_load_finished`."""

    # Time.

    def now(self) -> int:
        """Returns the nanoseconds since the run's start."""
        return time.monotonic_ns() - self.zero

    def queue(self, node: WorkerNode, runtime: NodeRuntime) -> None:
        """Has the node woken at its earliest deadline, by its own clock, which is earlier than its wake-up."""
        node.wake_at = runtime.wake
        node.queued = at = runtime.wake if node.clock is None else node.clock.true(runtime.wake)
        heappush(self._wakes, (at, node.index))

    def wake(self, node: WorkerNode) -> None:
        """Ensures that the node runs a batch in the next tick."""
        if not node.dirty:
            node.dirty = True
            self._dirty.append(node)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and not self._flying:
            self._scheduled = True
            self.loop.call_soon(self._tick)

    def _arm(self) -> None:
        """Sets the alarm for the next event."""
        at, held = self._wakes[0][0] if self._wakes else NEVER, self.outgoing.next_at
        if held < at:
            at = held
        if self.clients is not None and self.clients.next_at < at:
            at = self.clients.next_at
        if at < self._alarm.at:
            self._alarm.set(at)

    def _ring(self) -> None:
        if self._ended:
            return
        now = self.now()
        while self._wakes and self._wakes[0][0] <= now:
            at, index = heappop(self._wakes)
            node = self.nodes[index]
            if node.queued == at:
                node.forget_wake_up()
                if node.runtime is not None:
                    self.wake(node)
        self.outgoing.release(now)
        if self._flying:
            self._flush()  # these messages have left their nodes already
            self._arm()
        else:
            self._scheduled = True
            self._tick()
