"""Batches and lives: steps, timers with after=0, the commit, then the effects; boot, crash and restart.

A seat without service time and disk latency runs each input as a batch of its own, at once (`_finish`). A slow seat
collects inputs while a batch is in flight (`_run_batch`).
"""

from __future__ import annotations

import traceback
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from framework.core.client import Unknown
from framework.core.errors import RAISED, PluginError
from framework.core.faults import CommitFate, commit_fate
from framework.core.host import Host
from framework.core.message import NodeId
from framework.core.storage import StorageDamaged, StorageFailure, TroubledStorage
from framework.core.time import NEVER
from framework.core.tracebacks import error_line, printable
from framework.engine.base import Crash, agreed, check_nodes_own
from framework.engine.sim.post import Post
from framework.engine.sim.seat import Envelope, Flight, Seat
from framework.trace.schema import Kind

if TYPE_CHECKING:
    from framework.engine.sim.injection import Injection

SOON_LIMIT = 10_000
"""Timers with after=0 in one batch; more is a node that never comes to an end."""


class Batches(Post):
    """Runs the nodes."""

    injection: Injection

    # A batch of one input, at once.

    def _finish(self, seat: Seat, host: Host, seq: int) -> None:
        """Ends a batch: timers with after=0, the commit, then the effects."""
        effects = host.effects
        if host.soon:
            marks = [(len(effects), seq)]
            self._run_soon(seat, host, marks)
        else:
            marks = None
        changes = host.changes() if seat.durable else None
        if host.early:
            early, host.early = host.early, []
            self._release(seat, early, host.step)
        if changes:
            seat.storage.commit(changes)
            self._committed(seat, len(changes), host.step)
        if effects:
            if marks is None:
                self._release(seat, effects, seq)
            else:
                self._release_marked(seat, effects, marks)
            effects.clear()
        if host.wake < seat.wake_at:
            self.rearm(seat, host)
        if seat.watch is not None:
            seat.watch(host, self.now, host.step)

    def _run_soon(self, seat: Seat, host: Host, marks: list[tuple[int, int]]) -> None:
        rounds = 0
        while (soon := host.take_soon()) is not None:
            self._step_timer(seat, host, soon[0], soon[1])
            marks.append((len(host.effects), host.step))
            rounds += 1
            if rounds > SOON_LIMIT:
                raise PluginError(
                    seat.class_.__qualname__,
                    f"{soon[0][1]} is set with after=0 without end",
                    "Set it once a batch, or with a delay.",
                )

    def _step_timer(self, seat: Seat, host: Host, key: tuple[str, str, tuple[Any, ...]], cause: int) -> None:
        self.seq = host.step = self.seq + 1
        self.steps += 1
        if self._rows is not None:
            names = self.recording.names
            self.recording.row(
                Kind.TIMER, self.now, self.seq, cause, self._place(seat, key[0]), message=names.index(key[1])
            )
        host.fire(key)

    def _wake(self, seat: Seat) -> None:
        """The seat's wake-up has come: one overdue timer, or none if it was moved meanwhile."""
        host = seat.host
        if host is None:
            return
        if seat.slow:
            if not seat.busy:
                self._run_batch(seat)
            return
        self._set_clocks(seat, host)
        key = host.due()
        if key is None:
            self.rearm(seat, host)
            return
        try:
            self._step_timer(seat, host, key, host.timers[key][1])
            self._finish(seat, host, host.step)
        except RAISED as error:
            self.raised(seat, error)

    # A batch that takes time.

    def _run_batch(self, seat: Seat) -> None:
        """Runs all that waits at a slow seat as one batch; its effects leave after service time and commit."""
        host = seat.host
        assert host is not None and not seat.busy
        self._set_clocks(seat, host)
        mailbox, seat.mailbox = seat.mailbox, []
        marks: list[tuple[int, int]] = []
        before = self.steps
        try:
            for envelope in mailbox:
                self._step_delivery(seat, host, envelope, marks)
            while (key := host.due()) is not None:
                self._step_timer(seat, host, key, host.timers[key][1])
                marks.append((len(host.effects), host.step))
            self._close(seat, host, marks, (self.steps - before) * self._service_time)
        except RAISED as error:
            self.raised(seat, error)

    def _close(self, seat: Seat, host: Host, marks: list[tuple[int, int]], service: int) -> None:
        """Ends a batch that takes time: timers with after=0, what leaves before the commit, and off with the rest."""
        self._run_soon(seat, host, marks)
        changes = host.changes()
        if host.early:
            early, host.early = host.early, []
            self._release(seat, early, host.step)
        effects, host.effects = host.effects, []
        self._take_off(seat, Flight(changes, effects, marks), service)

    def _step_delivery(self, seat: Seat, host: Host, envelope: Envelope, marks: list[tuple[int, int]]) -> None:
        message, sender, path, index, _, _ = envelope
        self.seq = host.step = self.seq + 1
        self.steps += 1
        self.delivered[index] += 1
        if self._rows is not None:
            self._deliver_row(seat, envelope, self.seq)
        if not host.deliver(path, sender.id, message):
            self._mount_gone(seat, envelope)
        marks.append((len(host.effects), host.step))

    def _take_off(self, seat: Seat, flight: Flight, service: int) -> None:
        """Commits a batch after `service` nanoseconds of work; nothing else happens at the seat meanwhile."""
        delay = service
        if flight.changes:
            delay += self._disk_latency + seat.slower
            if seat.slower:
                self.injection.met(seat.id)
        if not delay:
            self._land(seat, flight)
            return
        seat.busy, seat.flight = True, flight
        self.call_at(self.now + delay, lambda: self._land(seat, flight) if seat.flight is flight else None)

    def _land(self, seat: Seat, flight: Flight) -> None:
        if seat.paused:
            seat.landed = True
            return
        host = seat.host
        assert host is not None
        seat.busy, seat.flight, seat.landed = False, None, False
        cause = flight.marks[-1][1] if flight.marks else -1
        try:
            if flight.changes:
                seat.storage.commit(flight.changes)
                self._committed(seat, len(flight.changes), cause)
            self._release_marked(seat, flight.effects, flight.marks)
        except RAISED as error:
            self.raised(seat, error)
            return
        self._set_clocks(seat, host)
        overdue = host.due() is not None
        if seat.mailbox or overdue:
            self.call_at(self.now, lambda: self._run_batch(seat) if seat.host is host and not seat.busy else None)
        self.rearm(seat, host)
        if seat.watch is not None:
            seat.watch(host, self.now, host.step)

    def _committed(self, seat: Seat, changes: int, cause: int) -> None:
        self.tally.fsyncs += 1
        self.seq += 1
        if self._rows is not None:
            self.recording.row(Kind.COMMIT, self.now, self.seq, cause, seat.index, size=changes)

    # Life and death.

    def _boot(self, seat: Seat, cause: int) -> None:
        """Makes the seat's node from its storage and runs `on_start`."""
        try:
            host = Host(seat.id, seat.rng, seat.storage)
        except StorageDamaged as damaged:
            seat.lost = True
            self._storage_failed(seat, damaged, cause)
            return
        self._set_clocks(seat, host)
        seat.host, seat.busy, seat.flight, seat.mailbox = host, False, None, []
        seat.wake_at, seat.wake_order = NEVER, -1
        self.seq = host.step = self.seq + 1
        self.steps += 1
        self.recording.row(Kind.START, self.now, self.seq, cause, seat.index)
        try:
            host.boot(seat.class_, seat.config, seat.peers, seat.spare)
            if seat.slow:
                self._close(seat, host, [(len(host.effects), host.step)], self._service_time)
                self.rearm(seat, host)
            else:
                self._finish(seat, host, host.step)
        except RAISED as error:
            self.raised(seat, error)

    def raised(self, seat: Seat, error: BaseException) -> None:
        """Crashes the node: its batch is lost and it stays down. Raises errors again that other plugins, the trace or a lack
        of memory caused (see `check_nodes_own`)."""
        check_nodes_own(error, seat.id, seat.class_)
        cause = seat.host.step if seat.host is not None else -1
        if isinstance(error, StorageFailure):  # the disk's doing, not the protocol's
            self._storage_failed(seat, error, cause)
            return
        seat.raised = True
        self._stop(seat, error_line(error), printable("".join(traceback.format_exception(error))), cause)

    def _storage_failed(self, seat: Seat, failure: StorageFailure, cause: int) -> None:
        if failure.asked:
            self.injection.met(seat.id)
        if isinstance(seat.storage, TroubledStorage) and seat.storage.trouble == "none":
            seat.storage = seat.storage.storage  # what failed once is well again
        self._stop(seat, str(failure), "", cause, asked=failure.asked, storage=True)

    def _stop(
        self, seat: Seat, why: str, text: str, cause: int, *, asked: bool = False, storage: bool = False
    ) -> None:  # fmt: skip
        self.crashes.append(Crash(seat.id, self.now, why, text, asked, storage))
        self.seq += 1
        payload = f"{why}\n{text}".rstrip().encode()
        self.recording.row(Kind.CRASH, self.now, self.seq, cause, seat.index, payload=payload)
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
        if fate == "kept" and isinstance(seat.storage, TroubledStorage):
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
        self.recording.row(Kind.RESTART, self.now, self.seq, cause, seat.index)
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
