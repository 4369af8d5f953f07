"""Batches and lives: steps, timers with after=0, the commit, then the effects; boot, crash and restart.

A hosted without service time and disk latency runs each input as a batch of its own, at once (`_finish`). A slow hosted
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
from framework.engine.sim.sim_node import Envelope, SimNode
from framework.faults.actions import CommitFate, commit_fate
from framework.faults.disk_faults import FaultyStorage
from framework.trace.schema import EventKind

if TYPE_CHECKING:
    from framework.engine.sim.fault_executor import SimFaultExecutor


class Batches(Post):
    """Runs the nodes."""

    injection: SimFaultExecutor
    _served = 0
    """Steps of the batch under way that take service time: all but those of timers with after=0."""

    # A batch of one input, at once.

    def _finish(self, hosted: SimNode, runtime: NodeRuntime, batch: Batch) -> None:
        """Ends a batch that takes no time: what leaves before the commit, the commit, then the effects."""
        if batch.early:
            self._release(hosted, batch.early)
        if batch.changes:
            hosted.storage.commit(batch.changes)
            self._committed(hosted, len(batch.changes), batch.last)
        if batch.effects:
            self._release(hosted, batch.effects)
        if runtime.wake < hosted.wake_at:
            self.rearm(hosted, runtime)
        if hosted.watch is not None:
            hosted.watch(runtime, self.now, batch.last)

    def _timer_step(self, hosted: SimNode, key: TimerKey, cause: int) -> int:
        self.seq = seq = self.seq + 1
        self.steps += 1
        if key in hosted.runtime.timers:  # type: ignore[union-attr]
            self._served += 1
        if self._rows is not None:
            name = self.recording.names.index(key[1])
            self.recording.row(EventKind.TIMER, self.now, seq, cause, self._place(hosted, key[0]), message=name)
        return seq

    def _wake(self, hosted: SimNode) -> None:
        """The hosted's wake-up has come: a batch of its overdue timers, of which there are none if they were moved meanwhile."""
        runtime = hosted.runtime
        if runtime is None:
            return
        if hosted.slow:
            if not hosted.busy:
                self._run_batch(hosted)
            return
        self._set_clocks(hosted, runtime)
        before = runtime.step
        try:
            batch = runtime.run()
            if batch.last == before:
                self.rearm(hosted, runtime)
            else:
                self._finish(hosted, runtime, batch)
        except RAISED as error:
            self.raised(hosted, error)

    # A batch that takes time.

    def _run_batch(self, hosted: SimNode) -> None:
        """Runs all that waits at a slow hosted as one batch; its effects leave after service time and commit."""
        runtime = hosted.runtime
        assert runtime is not None and not hosted.busy
        self._set_clocks(hosted, runtime)
        mailbox, hosted.mailbox = hosted.mailbox, []
        self._served = 0
        try:
            batch = runtime.run(self._inputs(hosted, runtime, mailbox))
            self._take_off(hosted, batch, self._served * self._service_time)
        except RAISED as error:
            self.raised(hosted, error)

    def _inputs(self, hosted: SimNode, runtime: NodeRuntime, mailbox: list[Envelope]) -> Iterator[Deliver]:
        for envelope in mailbox:
            message, sender, path, index, _, _ = envelope
            if not runtime.has_mount(path):
                self._mount_gone(hosted, envelope)
                continue
            self.seq = seq = self.seq + 1
            self.steps += 1
            self._served += 1
            self.delivered[index] += 1
            if self._rows is not None:
                self._deliver_row(hosted, envelope, seq)
            yield Deliver(path, sender.id, message, seq)

    def _take_off(self, hosted: SimNode, batch: Batch, service: int) -> None:
        """Commits a batch after `service` nanoseconds of work; nothing else happens at the hosted meanwhile."""
        if batch.early:
            self._release(hosted, batch.early)
        delay = service
        if batch.changes:
            delay += self._disk_latency + hosted.slower
            if hosted.slower:
                self.injection.met(hosted.id)
        if not delay:
            self._land(hosted, batch)
            return
        hosted.busy, hosted.flight = True, batch
        self.call_at(self.now + delay, lambda: self._land(hosted, batch) if hosted.flight is batch else None)

    def _land(self, hosted: SimNode, batch: Batch) -> None:
        if hosted.paused:
            hosted.landed = True
            return
        runtime = hosted.runtime
        assert runtime is not None
        hosted.busy, hosted.flight, hosted.landed = False, None, False
        try:
            if batch.changes:
                hosted.storage.commit(batch.changes)
                self._committed(hosted, len(batch.changes), batch.last)
            if batch.effects:
                self._release(hosted, batch.effects)
        except RAISED as error:
            self.raised(hosted, error)
            return
        self._set_clocks(hosted, runtime)
        is_overdue = runtime.overdue() is not None
        if hosted.mailbox or is_overdue:
            self.call_at(
                self.now, lambda: self._run_batch(hosted) if hosted.runtime is runtime and not hosted.busy else None
            )
        self.rearm(hosted, runtime)
        if is_overdue:
            runtime.wake = runtime.now  # for the batch that fires it
        if hosted.watch is not None:
            hosted.watch(runtime, self.now, batch.last)

    def _committed(self, hosted: SimNode, changes: int, cause: int) -> None:
        self.tally.fsyncs += 1
        self.seq += 1
        if self._rows is not None:
            self.recording.row(EventKind.COMMIT, self.now, self.seq, cause, hosted.index, size=changes)

    # Life and death.

    def _boot(self, hosted: SimNode, cause: int) -> None:
        """Makes the hosted's node from its storage and runs `on_start`."""
        try:
            runtime = NodeRuntime(
                hosted.id,
                hosted.rng,
                hosted.storage,
                on_timer_step=partial(self._timer_step, hosted),
                is_durable=hosted.durable,
            )
        except StorageDamaged as damaged:
            hosted.lost = True
            self._storage_failed(hosted, damaged, cause)
            return
        self._set_clocks(hosted, runtime)
        hosted.runtime, hosted.busy, hosted.flight, hosted.mailbox = runtime, False, None, []
        hosted.wake_at, hosted.wake_order = NEVER, -1
        self.seq = seq = self.seq + 1
        self.steps += 1
        self.recording.row(EventKind.START, self.now, seq, cause, hosted.index)
        try:
            batch = runtime.run_one(Start(hosted.node_class, hosted.config, hosted.peers, hosted.spare, seq))
            if hosted.slow:
                self._take_off(hosted, batch, self._service_time)
                self.rearm(hosted, runtime)
            else:
                self._finish(hosted, runtime, batch)
        except RAISED as error:
            self.raised(hosted, error)

    def raised(self, hosted: SimNode, error: BaseException) -> None:
        """Crashes the node: its batch is lost and it stays down. Raises errors again that other plugins, the trace or a lack
        of memory caused (see `check_nodes_own`)."""
        check_nodes_own(error, hosted.id, hosted.node_class)
        cause = hosted.runtime.step if hosted.runtime is not None else -1
        if isinstance(error, StorageFailure):  # the disk's doing, not the protocol's
            self._storage_failed(hosted, error, cause)
            return
        hosted.raised = True
        self._stop(hosted, error_line(error), printable("".join(traceback.format_exception(error))), cause)

    def _storage_failed(self, hosted: SimNode, failure: StorageFailure, cause: int) -> None:
        if failure.asked:
            self.injection.met(hosted.id)
        if isinstance(hosted.storage, FaultyStorage) and hosted.storage.trouble == "none":
            hosted.storage = hosted.storage.storage  # what failed once is well again
        self._stop(hosted, str(failure), "", cause, asked=failure.asked, storage=True)

    def _stop(
        self, hosted: SimNode, why: str, text: str, cause: int, *, asked: bool = False, storage: bool = False
    ) -> None:  # fmt: skip
        self.crashes.append(NodeCrash(hosted.id, self.now, why, text, asked, storage))
        self.seq += 1
        payload = f"{why}\n{text}".rstrip().encode()
        self.recording.row(EventKind.CRASH, self.now, self.seq, cause, hosted.index, payload=payload)
        hosted.runtime, hosted.busy, hosted.flight, hosted.landed = None, False, None, False
        hosted.paused, hosted.slow = False, hosted.slow_by_nature or hosted.slower > 0
        for envelope in hosted.mailbox:
            self._drop(hosted, envelope, f"{hosted.id} crashed")
        hosted.mailbox = []
        if hosted.on_crash is not None:
            hosted.on_crash()
        if hosted.open is not None:
            self._end_operation(hosted, Unknown(f"{hosted.id} crashed"))

    def crash(self, node: NodeId, why: str, cause: int = -1) -> CommitFate | None:
        """Crashes a node that is up; what becomes of its commit in flight, by the seed. None: there was none."""
        hosted = self.hosted_nodes[node]
        flight = hosted.flight
        fate = commit_fate(self._disk) if flight is not None and flight.changes else None
        if fate == "kept" and isinstance(hosted.storage, FaultyStorage):
            fate = "lost"
        if flight is not None and fate == "kept":
            hosted.storage.commit(flight.changes)
            self._committed(hosted, len(flight.changes), cause)
        hosted.torn = fate == "torn"
        self._stop(hosted, why, "", cause, asked=True)
        return fate

    def can_serve(self, running: Collection[NodeId]) -> bool | None:
        """Whether these nodes, of which all run, say that they are enough to serve; None if the protocol does not say."""
        answers: list[bool | None] = []
        for node in running:
            hosted = self.hosted_nodes[node]
            try:
                answers.append(hosted.runtime.root.can_serve(running) if hosted.runtime is not None else None)
            except RAISED as error:  # an author's mistake, as in a handler
                self.raised(hosted, error)
        return agreed(answers)

    def restart(self, node: NodeId, cause: int = -1) -> None:
        """Boots a node that is down: a new instance over its storage."""
        hosted = self.hosted_nodes[node]
        hosted.stands_by = False
        hosted.incarnation += 1
        self.seq += 1
        self.recording.row(EventKind.RESTART, self.now, self.seq, cause, hosted.index)
        self._boot(hosted, cause=self.seq)
        if hosted.torn and not hosted.lost:
            hosted.torn = False
            self.injection.cut(node)

    def pause(self, node: NodeId) -> None:
        """The node stands still: what arrives waits, timers are late, a commit under way ends but nothing follows from it."""
        hosted = self.hosted_nodes[node]
        hosted.paused = hosted.busy = hosted.slow = True

    def resume(self, node: NodeId) -> None:
        """The node goes on with all that waits as its next batch."""
        hosted = self.hosted_nodes[node]
        hosted.paused, hosted.slow = False, hosted.slow_by_nature or hosted.slower > 0 or hosted.flight is not None
        if hosted.flight is None:
            hosted.busy = False
            self._run_batch(hosted)
        elif hosted.landed:
            self._land(hosted, hosted.flight)
