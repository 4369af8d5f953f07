"""A worker: one process's share of a run. It owns the endpoints, and everything happens in the thread of its loop.

What arrives waits in the hosted_nodes' inboxes. A tick, once per turn of the loop, makes one batch for each hosted that something
waits for: a step for each input, overdue timers, timers with after=0. Then effects marked `before_commit` leave; one
commit makes the changes of all hosted_nodes durable; then all other effects leave, with one write for each connection. While
the commit is in flight the loop receives, and no node takes input.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from heapq import heappop
from typing import TypeAlias

import msgspec

from framework.core.durable import Change
from framework.core.effects import Complete, Effect, Multicast, Note, Send
from framework.core.errors import RAISED
from framework.core.message import Message, NodeId
from framework.core.node import TimerKey
from framework.core.node_runtime import Batch, Deliver, NodeRuntime
from framework.core.time import NEVER, SECOND
from framework.engine.base import Tally, check_nodes_own
from framework.engine.ray.disk.database import Commit
from framework.engine.ray.transport.frames import (
    HEADER,
    HEADER_SIZE,
    LENGTH_SIZE,
    MAX_FRAME,
    FrameError,
    check_length,
    whole_frames,
)
from framework.engine.ray.worker.nodes import WorkerNodes
from framework.engine.ray.worker.worker_node import Envelope, WorkerNode
from framework.trace.schema import EventKind, as_json

REJECT_ROWS = 1_000
"""Refused connections that a worker records one by one; beyond, they are only counted."""

INBOX_BYTES = 64 << 20
"""What may wait for the nodes of a worker before it stops reading from its connections."""

_unpack = HEADER.unpack_from

Ran: TypeAlias = tuple[WorkerNode, NodeRuntime, Batch]
"""A hosted that has run a batch, and the runtime that did: another one has its place if it was restarted since."""


class Worker(WorkerNodes):
    """Drives the nodes or clients of one process."""

    # What comes in.

    def take(self, data: bytes) -> int:
        """Takes the whole frames at the start of `data`; returns how many bytes they are. Raises FrameError."""
        at, end = 0, len(data)
        hosted_nodes, decode, endpoints = self.hosted_nodes, self.wire.decode, len(self._names)
        try:
            while end - at >= HEADER_SIZE:
                length, index, source, target, path_length, seq = _unpack(data, at)
                if length > MAX_FRAME or length < HEADER_SIZE:
                    check_length(length, path_length)
                if source >= endpoints:
                    raise FrameError(f"a frame from host {source}; there are {endpoints}")
                stop = at + LENGTH_SIZE + length
                if stop > end:
                    break
                body = at + HEADER_SIZE
                path = ""
                if path_length:
                    path = data[body : body + path_length].decode()
                    body += path_length
                hosted = hosted_nodes[target]
                payload = data[body:stop]
                message = decode[index](payload)
                at = stop
                if hosted.drops_input:
                    self.outgoing.drop(source, target, path, message, index, seq, stop - body, f"{hosted.id} is down")
                    continue
                hosted.inbox.append((path, source, message, index, seq, stop - body))
                if not hosted.dirty:
                    hosted.dirty = True
                    self._dirty.append(hosted)
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
        """Whether so much waits for the nodes that nothing more should be read."""
        return self._inbox_bytes > INBOX_BYTES

    def lost(self, peer: str, frames: bytes) -> None:
        """Frames that will never reach a worker."""
        for index, source, target, path, seq, payload in whole_frames(frames):
            message, why = self._decoded(index, payload), f"{self._names[target]} is down"
            self.outgoing.drop(source, target, path, message, index, seq, len(payload), why)

    def _decoded(self, index: int, payload: bytes) -> Message | None:
        """A message whose operation is to be recorded; None of another, and of one that does not fit its class, which its
        receiver would have refused."""
        if self.rows is None or not self.wire.has_operation[index]:
            return None
        try:
            return self.wire.decode[index](payload)
        except msgspec.ValidationError:
            return None

    def rejected(self, why: str) -> None:
        """A connection was refused or closed for what came over it."""
        self.rejected_count += 1
        if self.rows is not None and self.rejected_count <= REJECT_ROWS:
            first = next(iter(self.hosted_nodes))
            self.rows.row(EventKind.REJECT, self.now(), -1, first, payload=why.encode())

    def end(self) -> None:
        """Nothing happens any more after this."""
        self._ended = True
        self._alarm.close()
        if self.transport is not None:
            self.transport.close()

    def snapshot(self) -> Tally:
        """The tally so far, with the messages by name."""
        names = zip(self.wire.names, self._delivered, strict=True)
        self.tally.messages = {name: count for name, count in names if count}
        return self.tally

    # The tick.

    def _tick(self) -> None:
        self._scheduled = False
        if self._flying or self._ended:
            return
        dirty, self._dirty = self._dirty, []
        if self.flooded and self.transport is not None:
            self.transport.resume()
        self._inbox_bytes = 0
        ran: list[Ran] = []
        self._now = now = self.now()
        for hosted in dirty:
            hosted.dirty = False
            runtime = hosted.runtime
            if runtime is not None:
                self.set_clocks(hosted, runtime, now)
                batch = self._batch(hosted, runtime)
                if batch is not None:
                    ran.append((hosted, runtime, batch))
        commit = self._collect(ran)
        refused, latency = self.faults.refuse(commit)
        if refused:
            commit = [(node, changes) for node, changes in commit if node not in refused]
            for hosted, _, batch in ran:
                if hosted.id in refused:
                    self._storage_failed(hosted, refused[hosted.id], batch.last, asked=True)
        if not commit:
            self._land(ran, commit)
            return
        if self.rows is not None:
            self.rows.write_through()  # what becomes durable is seen by the node itself when it is started again
        self._flush()
        self._flying = commit
        self._arm()  # for what the links hold back
        if latency:
            self.loop.call_later(latency / SECOND, self._commit, ran, commit)
        else:
            self._commit(ran, commit)

    def _commit(self, ran: list[Ran], commit: Commit) -> None:
        if not self._ended:
            self.commits.commit(commit, lambda why: self._landed(ran, commit, why))

    def _batch(self, hosted: WorkerNode, runtime: NodeRuntime) -> Batch | None:
        """Runs all that waits for a hosted; None if a handler raised."""
        inbox = hosted.inbox
        try:
            if not inbox:
                batch = runtime.run()
            else:
                hosted.inbox = []
                if len(inbox) == 1 and runtime.wake > runtime.now and runtime.has_mount(inbox[0][0]):
                    path, source, message = inbox[0][:3]
                    batch = runtime.deliver_one(path, self._names[source], message, self._step(hosted, inbox[0]))
                else:
                    batch = runtime.run(self._inputs(hosted, runtime, inbox))
        except RAISED as error:
            self.raised(hosted, error)
            return None
        if runtime.wake < NEVER:
            self.queue(hosted)
        return batch

    def _inputs(self, hosted: WorkerNode, runtime: NodeRuntime, inbox: list[Envelope]) -> Iterator[Deliver]:
        """The messages whose mounts are there, each with the number of its step: `_step` written out, for its speed."""
        rows, delivered, names, has_operation = self.rows, self._delivered, self._names, self.wire.has_operation
        now, tally, to, step = self._now, self.tally, hosted.index, -1
        for path, source, message, index, seq, size in inbox:
            if path and not runtime.has_mount(path):
                why = f"{hosted.id} has no mount {path!r}"
                self.outgoing.drop(source, to, path, message, index, seq, size, why)
                continue
            delivered[index] += 1
            tally.steps += 1
            if rows is not None:
                operation = message.operation if has_operation[index] else None  # type: ignore[attr-defined]
                step = rows.deliver(now, seq, to, source, path, index, size, operation)
            yield Deliver(path, names[source], message, step)

    def _step(self, hosted: WorkerNode, envelope: Envelope) -> int:
        """The number of the step that takes a message."""
        path, source, message, index, seq, size = envelope
        self._delivered[index] += 1
        self.tally.steps += 1
        if self.rows is None:
            return -1
        operation = message.operation if self.wire.has_operation[index] else None  # type: ignore[attr-defined]
        return self.rows.deliver(self._now, seq, hosted.index, source, path, index, size, operation)

    def timer_step(self, hosted: WorkerNode, key: TimerKey, cause: int) -> int:
        self.tally.steps += 1
        if self.rows is None:
            return -1
        return self.rows.row(EventKind.TIMER, self._now, cause, hosted.index, key[0], name=key[1])

    def _collect(self, ran: list[Ran]) -> list[tuple[NodeId, Sequence[Change]]]:
        """Lets go what need not wait, and gathers what is to be made durable."""
        commit: list[tuple[NodeId, Sequence[Change]]] = []
        for hosted, runtime, batch in ran:
            if batch.changes:
                try:
                    self.commits.encode(hosted.id, batch.changes)
                except RAISED as error:
                    self.raised(hosted, error)
                    continue
                commit.append((hosted.id, batch.changes))
            if batch.early:
                self._leave(hosted, runtime, batch.early)
        return commit

    def _landed(self, ran: list[Ran], commit: Commit, why: str) -> None:
        """The commit is over; `why` it failed, or nothing. A failed one is never tried again: the nodes crash."""
        self._flying, undone, self._undone = (), self._undone, set()
        if self._ended:
            return
        why = why or self._take_back(undone)
        if why:
            for hosted, runtime, batch in ran:
                if hosted.runtime is runtime:
                    self._storage_failed(hosted, f"storage failed: {why}", batch.last)
            self._land([], [])  # the others of the worker go on
        else:
            self._land(ran, [part for part in commit if part[0] not in undone])
        waiting, self._when_landed = self._when_landed, []
        for work in waiting:
            work()

    def _take_back(self, nodes: set[NodeId]) -> str:
        """Undoes the part that nodes have in the commit which has just landed; why that failed, or nothing."""
        try:
            if nodes:
                self.commits.undo(nodes)
        except sqlite3.Error as error:
            return str(error)
        return ""

    def _land(self, ran: list[Ran], commit: Commit) -> None:
        if commit:
            self.tally.fsyncs += 1
            if self.rows is not None:
                self._commit_rows(ran, commit)
        for hosted, runtime, batch in ran:
            if batch.effects and hosted.runtime is runtime:
                self._leave(hosted, runtime, batch.effects)
        if self.clients is not None:
            self.clients.begin_due()
        self._flush()
        if self.rows is not None:
            self.rows.flush_if_due()
        if self._dirty:
            self._schedule()
        self._arm()

    def _flush(self) -> None:
        """Writes the waiting rows to the tail, then sends what waits for other workers: what anyone has seen of this process
        can be read after its death."""
        transport = self.transport
        assert transport is not None
        if transport.waiting:
            if self.rows is not None:
                self.rows.write_through()
            transport.flush()

    def _commit_rows(self, ran: list[Ran], commit: Commit) -> None:
        assert self.rows is not None
        now, last = self.now(), {hosted.id: batch.last for hosted, _, batch in ran}
        for node, changes in commit:
            self.rows.row(EventKind.COMMIT, now, last[node], self._index[node], size=len(changes))

    # What goes out.

    def _leave(self, hosted: WorkerNode, runtime: NodeRuntime, effects: Sequence[Effect]) -> None:
        """Lets effects go, each with its own step as the cause."""
        send = self.outgoing.send
        try:
            for effect in effects:
                if type(effect) is Send:
                    send(hosted, (effect.to,), effect.path, effect.message, effect.step)
                elif isinstance(effect, Multicast):
                    send(hosted, effect.to, effect.path, effect.message, effect.step)
                elif isinstance(effect, Complete):
                    assert self.clients is not None
                    self.clients.complete(hosted, effect.operation, effect.outcome, effect.step)
                else:
                    assert isinstance(effect, Note)
                    self._note(hosted, effect)
        except RAISED as error:
            check_nodes_own(error, hosted.id, hosted.node_class)
            if hosted.runtime is runtime:
                self.raised(hosted, error)

    def _note(self, hosted: WorkerNode, note: Note) -> None:
        self.tally.notes[note.name] = self.tally.notes.get(note.name, 0) + 1
        if self.rows is not None:
            payload = as_json(note.fields)
            self.rows.row(
                EventKind.NOTE, self.now(), note.step, hosted.index, note.path, name=note.name, payload=payload
            )

    # Time.

    def _arm(self) -> None:
        """Sets the alarm for whatever comes next."""
        at = self._wakes[0][0] if self._wakes else NEVER
        at = min(at, self.outgoing.next_at)
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
            hosted = self.hosted_nodes[index]
            if hosted.queued == at:
                hosted.queued = NEVER
                if hosted.runtime is not None:
                    self.wake(hosted)
        self.outgoing.release(now)
        if self._flying:
            self._flush()  # these left their node before
            self._arm()
        else:
            self._scheduled = True
            self._tick()
