"""Batches and lives: steps, timers with after=0, the commit, then the effects; boot, crash and restart.

A seat without service time and disk latency runs each input as a batch of its own, at once (`_finish`). A slow seat
collects inputs while a batch is in flight (`_run_batch`).
"""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING

from framework.core.client import Unknown
from framework.core.errors import RAISED
from framework.core.message import NodeId
from framework.core.node import TimerKey
from framework.core.node_runtime import Batch, Deliver, NodeRuntime, Start
from framework.core.storage import StorageDamaged, StorageFailure
from framework.core.time import NEVER
from framework.core.tracebacks import error_line, printable
from framework.engine.base import NodeCrash, agreed, check_nodes_own
from framework.engine.sim.post import Post
from framework.engine.sim.seat import Envelope, SimNode
from framework.faults.actions import CommitFate, commit_fate
from framework.faults.disk_faults import FaultyStorage
from framework.trace.schema import EventKind

if TYPE_CHECKING:
    from framework.engine.sim.injection import SimFaultExecutor


class Batches(Post):
    """Runs the nodes."""

    injection: SimFaultExecutor
    _served = 0
    """Steps of the batch under way that take service time: all but those of timers with after=0."""

    # A batch of one input, at once.

    def _finish(self, seat: SimNode, runtime: NodeRuntime, batch: Batch) -> None:
        """Ends a batch that takes no time: what leaves before the commit, the commit, then the effects."""
        if batch.early:
            self._release(seat, batch.early)
        if batch.changes:
            seat.storage.commit(batch.changes)
            self._committed(seat, len(batch.changes), batch.last)
        if batch.effects:
            self._release(seat, batch.effects)
        if runtime.wake < seat.wake_at:
            self.rearm(seat, runtime)
        if seat.watch is not None:
            seat.watch(runtime, self.now, batch.last)

    def _timer_step(self, seat: SimNode, key: TimerKey, cause: int) -> int:
        self.seq = seq = self.seq + 1
        self.steps += 1
        if key in seat.host.timers:  # type: ignore[union-attr]
            self._served += 1
        if self._rows is not None:
            name = self.recording.names.index(key[1])
            self.recording.row(EventKind.TIMER, self.now, seq, cause, self._place(seat, key[0]), message=name)
        return seq

    def _wake(self, seat: SimNode) -> None:
        """The seat's wake-up has come: a batch of its overdue timers, of which there are none if they were moved meanwhile."""
        runtime = seat.host
        if runtime is None:
            return
        if seat.slow:
            if not seat.busy:
                self._run_batch(seat)
            return
        self._set_clocks(seat, runtime)
        before = runtime.step
        try:
            batch = runtime.run()
            if batch.last == before:
                self.rearm(seat, runtime)
            else:
                self._finish(seat, runtime, batch)
        except RAISED as error:
            self.raised(seat, error)

    # A batch that takes time.

    def _run_batch(self, seat: SimNode) -> None:
        """Runs all that waits at a slow seat as one batch; its effects leave after service time and commit."""
        runtime = seat.host
        assert runtime is not None and not seat.busy
        self._set_clocks(seat, runtime)
        mailbox, seat.mailbox = seat.mailbox, []
        self._served = 0
        try:
            batch = runtime.run(self._inputs(seat, runtime, mailbox))
            self._take_off(seat, batch, self._served * self._service_time)
        except RAISED as error:
            self.raised(seat, error)

    def _inputs(self, seat: SimNode, runtime: NodeRuntime, mailbox: list[Envelope]) -> Iterator[Deliver]:
        for envelope in mailbox:
            message, sender, path, index, _, _ = envelope
            if not runtime.has_mount(path):
                self._mount_gone(seat, envelope)
                continue
            self.seq = seq = self.seq + 1
            self.steps += 1
            self._served += 1
            self.delivered[index] += 1
            if self._rows is not None:
                self._deliver_row(seat, envelope, seq)
            yield Deliver(path, sender.id, message, seq)

    def _take_off(self, seat: SimNode, batch: Batch, service: int) -> None:
        """Commits a batch after `service` nanoseconds of work; nothing else happens at the seat meanwhile."""
        if batch.early:
            self._release(seat, batch.early)
        delay = service
        if batch.changes:
            delay += self._disk_latency + seat.slower
            if seat.slower:
                self.injection.met(seat.id)
        if not delay:
            self._land(seat, batch)
            return
        seat.busy, seat.flight = True, batch
        self.call_at(self.now + delay, lambda: self._land(seat, batch) if seat.flight is batch else None)

    def _land(self, seat: SimNode, batch: Batch) -> None:
        if seat.paused:
            seat.landed = True
            return
        runtime = seat.host
        assert runtime is not None
        seat.busy, seat.flight, seat.landed = False, None, False
        try:
            if batch.changes:
                seat.storage.commit(batch.changes)
                self._committed(seat, len(batch.changes), batch.last)
            if batch.effects:
                self._release(seat, batch.effects)
        except RAISED as error:
            self.raised(seat, error)
            return
        self._set_clocks(seat, runtime)
        is_overdue = runtime.overdue() is not None
        if seat.mailbox or is_overdue:
            self.call_at(self.now, lambda: self._run_batch(seat) if seat.host is runtime and not seat.busy else None)
        self.rearm(seat, runtime)
        if is_overdue:
            runtime.wake = runtime.now  # for the batch that fires it
        if seat.watch is not None:
            seat.watch(runtime, self.now, batch.last)

    def _committed(self, seat: SimNode, changes: int, cause: int) -> None:
        self.tally.fsyncs += 1
        self.seq += 1
        if self._rows is not None:
            self.recording.row(EventKind.COMMIT, self.now, self.seq, cause, seat.index, size=changes)

    # Life and death.

    def _boot(self, seat: SimNode, cause: int) -> None:
        """Makes the seat's node from its storage and runs `on_start`."""
        try:
            runtime = NodeRuntime(
                seat.id, seat.rng, seat.storage, on_timer_step=partial(self._timer_step, seat), is_durable=seat.durable
            )
        except StorageDamaged as damaged:
            seat.lost = True
            self._storage_failed(seat, damaged, cause)
            return
        self._set_clocks(seat, runtime)
        seat.host, seat.busy, seat.flight, seat.mailbox = runtime, False, None, []
        seat.wake_at, seat.wake_order = NEVER, -1
        self.seq = seq = self.seq + 1
        self.steps += 1
        self.recording.row(EventKind.START, self.now, seq, cause, seat.index)
        try:
            batch = runtime.run_one(Start(seat.class_, seat.config, seat.peers, seat.spare, seq))
            if seat.slow:
                self._take_off(seat, batch, self._service_time)
                self.rearm(seat, runtime)
            else:
                self._finish(seat, runtime, batch)
        except RAISED as error:
            self.raised(seat, error)

    def raised(self, seat: SimNode, error: BaseException) -> None:
        """Crashes the node: its batch is lost and it stays down. Raises errors again that other plugins, the trace or a lack
        of memory caused (see `check_nodes_own`)."""
        check_nodes_own(error, seat.id, seat.class_)
        cause = seat.host.step if seat.host is not None else -1
        if isinstance(error, StorageFailure):  # the disk's doing, not the protocol's
            self._storage_failed(seat, error, cause)
            return
        seat.raised = True
        self._stop(seat, error_line(error), printable("".join(traceback.format_exception(error))), cause)

    def _storage_failed(self, seat: SimNode, failure: StorageFailure, cause: int) -> None:
        if failure.asked:
            self.injection.met(seat.id)
        if isinstance(seat.storage, FaultyStorage) and seat.storage.trouble == "none":
            seat.storage = seat.storage.storage  # what failed once is well again
        self._stop(seat, str(failure), "", cause, asked=failure.asked, storage=True)

    def _stop(
        self, seat: SimNode, why: str, text: str, cause: int, *, asked: bool = False, storage: bool = False
    ) -> None:  # fmt: skip
        self.crashes.append(NodeCrash(seat.id, self.now, why, text, asked, storage))
        self.seq += 1
        payload = f"{why}\n{text}".rstrip().encode()
        self.recording.row(EventKind.CRASH, self.now, self.seq, cause, seat.index, payload=payload)
        seat.host, seat.busy, seat.flight, seat.landed = None, False, None, False
        seat.paused, seat.slow = False, seat.slow_by_nature or seat.slower > 0
        for envelope in seat.mailbox:
            self._drop(seat, envelope, f"{seat.id} crashed")
        seat.mailbox = []
        if seat.on_crash is not None:
            seat.on_crash()
        if seat.open is not None:
            self._end_operation(seat, Unknown(f"{seat.id} crashed"))

    def crash(self, node: NodeId, why: str, cause: int = -1) -> CommitFate | None:
        """Crashes a node that is up; what becomes of its commit in flight, by the seed. None: there was none."""
        seat = self.seats[node]
        flight = seat.flight
        fate = commit_fate(self._disk) if flight is not None and flight.changes else None
        if fate == "kept" and isinstance(seat.storage, FaultyStorage):
            fate = "lost"
        if flight is not None and fate == "kept":
            seat.storage.commit(flight.changes)
            self._committed(seat, len(flight.changes), cause)
        seat.torn = fate == "torn"
        self._stop(seat, why, "", cause, asked=True)
        return fate

    def can_serve(self, running: Collection[NodeId]) -> bool | None:
        """Whether these nodes, of which all run, say that they are enough to serve; None if the protocol does not say."""
        answers: list[bool | None] = []
        for node in running:
            seat = self.seats[node]
            try:
                answers.append(seat.host.root.can_serve(running) if seat.host is not None else None)
            except RAISED as error:  # an author's mistake, as in a handler
                self.raised(seat, error)
        return agreed(answers)

    def restart(self, node: NodeId, cause: int = -1) -> None:
        """Boots a node that is down: a new instance over its storage."""
        seat = self.seats[node]
        seat.stands_by = False
        seat.incarnation += 1
        self.seq += 1
        self.recording.row(EventKind.RESTART, self.now, self.seq, cause, seat.index)
        self._boot(seat, cause=self.seq)
        if seat.torn and not seat.lost:
            seat.torn = False
            self.injection.cut(node)

    def pause(self, node: NodeId) -> None:
        """The node stands still: what arrives waits, timers are late, a commit under way ends but nothing follows from it."""
        seat = self.seats[node]
        seat.paused = seat.busy = seat.slow = True

    def resume(self, node: NodeId) -> None:
        """The node goes on with all that waits as its next batch."""
        seat = self.seats[node]
        seat.paused, seat.slow = False, seat.slow_by_nature or seat.slower > 0 or seat.flight is not None
        if seat.flight is None:
            seat.busy = False
            self._run_batch(seat)
        elif seat.landed:
            self._land(seat, seat.flight)
