"""The event loop, and the clients' load: a whole run."""

from __future__ import annotations

from heapq import heappop
from typing import Any

from framework.core.client import Client, Fail, Ok, Outcome, Unknown
from framework.core.errors import RAISED, SynodError
from framework.core.message import NodeId
from framework.core.node_runtime import Invoke, NodeRuntime
from framework.core.random_streams import stream
from framework.core.time import NEVER, format_duration
from framework.engine.base import Aftermath, Experiment, Tally
from framework.engine.shared.administrator import AdministratorQueue
from framework.engine.sim.batches import Batches
from framework.engine.sim.injection import SimFaultExecutor
from framework.engine.sim.recording import Heartbeat, Recording
from framework.engine.sim.seat import WALL_EPOCH, SimNode
from framework.engine.sim.settling import Settling
from framework.engine.wire import Wire
from framework.faults.actions import Ask
from framework.load.generator import Assignment, LoadGenerator
from framework.replication.administration import ADMINISTRATOR
from framework.trace.recorder import HistoryRow, operation_row
from framework.trace.schema import EVENT_ROW, OPERATION, EventKind, as_json

STEPS_PER_PULSE = 2_048
STALLED_PULSES = 100
"""Pulses without any progress of virtual time before the run is given up."""

_pack = EVENT_ROW.pack
_pack_operation = OPERATION.pack
_DELIVER = int(EventKind.DELIVER)


class Stalled(SynodError):
    """Virtual time stands still: nodes send to themselves, or set timers, without end."""


class Simulation(Batches):
    """One run. `run` drives it to its end; the attributes say how it went."""

    def __init__(
        self,
        experiment: Experiment,
        recording: Recording,
        wire: Wire,
        pulse: Heartbeat,
        tally: Tally,
        stop: int | None = None,
    ) -> None:
        super().__init__(experiment, recording, wire, tally)
        self.pulse = pulse
        self._outstanding = 0
        self._timeout = int(experiment.workload_config.timeout)
        self._latest = experiment.duration + self._timeout + 1  # when clients are quiet at the latest
        self._end = min(self._latest + experiment.settle, NEVER if stop is None else stop)
        self.settling = Settling(self, self._stop_here) if experiment.settle else None
        self._load_at = NEVER
        self.aftermath: Aftermath | None = None
        self._errands = AdministratorQueue()
        self.injection = SimFaultExecutor(self)
        if recording.history is not None:
            recording.history.under_way = self._under_way
        self.load = LoadGenerator(
            experiment.make_workload(),
            experiment.clients,
            lambda purpose, entity: stream(experiment.seed, purpose, entity),
            stop=experiment.duration,
            name=experiment.workload.name,
        )

    def run(self) -> None:
        """Runs to the end of the load and of the operations under way; Stalled if virtual time stands still."""
        until = 0
        try:
            for seat in self.seats.values():
                if not seat.stands_by:
                    self._boot(seat, cause=-1)
            self.call_at(self.experiment.duration, self._end_load)
            if self.settling is not None:
                self.call_at(self._latest, self.settling.begin)
            self.injection.schedule()
            self._schedule_load()
            self._loop()
            until = self._end  # or all has come to rest before
        finally:
            self._settle_tally()
            self._abandon_operations(until)  # however it ended: what was invoked may have taken effect

    def _loop(self) -> None:
        heap, delivered, codes, rows = self._heap, self.delivered, self.recording.message_names, self._rows
        has_operation, operations = self._has_operation, self._operations
        countdown, seen, still = STEPS_PER_PULSE, -1, 0
        while heap:
            time, order, seat, message, sender, path, index, cause, size = heappop(heap)
            if time > self._end:
                break
            self.now = time
            if seat is None:
                message()
                continue
            countdown -= 1
            if not countdown:
                countdown = STEPS_PER_PULSE
                self.pulse.beat(time)
                still = still + 1 if time == seen else 0
                seen = time
                if still > STALLED_PULSES:
                    raise Stalled(
                        f"virtual time stands still at {format_duration(time)}: {seat.id} and its peers never rest"
                    )
            if message is None:
                if order == seat.wake_order:
                    seat.wake_at = NEVER
                    self._wake(seat)
                continue
            host = seat.host
            if host is None:
                self._drop(seat, (message, sender, path, index, cause, size), f"{seat.id} is down")
                continue
            if seat.slow:
                seat.mailbox.append((message, sender, path, index, cause, size))
                if not seat.busy:
                    self._run_batch(seat)
                continue
            if path and not host.has_mount(path):
                self._mount_gone(seat, (message, sender, path, index, cause, size))
                continue
            clock = seat.clock
            if clock is None:
                host.now = time
                host.wall_clock = WALL_EPOCH + time
            else:
                host.now = local = clock.local(time)
                host.wall_clock = WALL_EPOCH + local + clock.wall_offset
            self.seq = seq = self.seq + 1
            self.steps += 1
            delivered[index] += 1
            if rows is not None:
                if path:
                    self._deliver_row(seat, (message, sender, path, index, cause, size), seq)
                else:
                    rows.append(_pack(time, seq, cause, size, -1, seat.index, sender.index, codes[index], _DELIVER))
                    if has_operation[index]:
                        operations.append(_pack_operation(seq, message.operation))
            try:
                self._finish(seat, host, host.deliver_one(path, sender.id, message, seq))
            except RAISED as error:
                self.raised(seat, error)

    def _settle_tally(self) -> None:
        self.tally.steps = self.steps
        self.tally.messages = {
            name: count for name, count in zip(self.wire.names, self.delivered, strict=True) if count
        }

    def up(self) -> frozenset[NodeId]:
        """The nodes and clients that run."""
        return frozenset(seat.id for seat in self.seats.values() if seat.host is not None)

    # Clients.

    def _schedule_load(self) -> None:
        at = self.load.next_at
        if at < self._load_at:
            self._load_at = at
            self.call_at(max(at, self.now), self._load_turn)

    def _load_turn(self) -> None:
        if self.now < self._load_at:
            return
        self._load_at = NEVER
        for assignment in self.load.due(self.now):
            seat = self.seats[assignment.client]
            if seat.host is None:  # its client class raised
                refused = Fail(f"{seat.id} is down")
                self.tally.completed(refused, assignment.scheduled, self.now, self.experiment.warmup)
                self.recording.operation(assignment, refused, self.now, self.now)
                continue
            self._outstanding += 1
            self._invoke(seat, seat.host, assignment, self._timeout)
        self._schedule_load()

    def _invoke(self, seat: SimNode, host: NodeRuntime, assignment: Assignment, timeout: int, cause: int = -1) -> None:
        seat.open = (assignment, self.now)
        operation = assignment.operation
        self._set_clocks(seat, host)
        self.seq = seq = self.seq + 1
        self.steps += 1
        if self._rows is not None:
            payload = as_json(
                {
                    "operation": operation.id, "process": assignment.process, "key": operation.key,
                    "argument": operation.argument, "scheduled": assignment.scheduled,
                }
            )  # fmt: skip
            name = self.recording.names.index(operation.function)
            self.recording.row(
                EventKind.INVOKE,
                self.now,
                seq,
                cause,
                seat.index,
                message=name,
                payload=payload,
                operation=operation.id,
            )
        try:
            self._finish(seat, host, host.run_one(Invoke(operation, timeout, seq)))
        except RAISED as error:
            self.raised(seat, error)

    def _complete(self, seat: SimNode, operation: int, outcome: Any, cause: int) -> None:
        assert seat.open is not None and seat.open[0].operation.id == operation
        self.seq += 1
        if self._rows is not None:
            name = self.recording.names.index(type(outcome).__name__.lower())
            fields = (
                {"operation": operation, "value": outcome.value}
                if type(outcome) is Ok
                else {"operation": operation, "why": outcome.why}
            )
            self.recording.row(
                EventKind.COMPLETE,
                self.now,
                self.seq,
                cause,
                seat.index,
                message=name,
                payload=as_json(fields),
                operation=operation,
            )
        self._end_operation(seat, outcome)
        if seat.id == ADMINISTRATOR:
            return
        if type(outcome) is Unknown:  # a new process starts, and only then is the client free again
            order = self.seq
            self.call_at(self.now, lambda: self._retire(seat, order))
        else:
            self._free(seat, retired=False)

    def _retire(self, seat: SimNode, cause: int) -> None:
        if seat.host is not None:
            assert seat.open is None, f"{seat.id} would lose the operation that it has under way"
            self._boot(seat, cause)
            self._free(seat, retired=True)

    def _end_operation(self, seat: SimNode, outcome: Outcome) -> None:
        assert seat.open is not None
        assignment, invoked = seat.open
        if seat.id == ADMINISTRATOR:
            seat.open = None
            self._end_errand(outcome)
            return
        self.recording.operation(assignment, outcome, invoked, self.now)  # one that cannot be recorded stays open
        seat.open = None
        self._outstanding -= 1
        self.tally.completed(outcome, assignment.scheduled, self.now, self.experiment.warmup)
        self._end_if_done()

    def _under_way(self) -> tuple[int, list[HistoryRow]]:
        """The present time, and the operations whose end is not in the history yet."""
        fate = Unknown("under way")
        seats = (seat for seat in self.seats.values() if seat.id != ADMINISTRATOR)
        rows = [operation_row(seat.open[0], fate, seat.open[1], None) for seat in seats if seat.open is not None]
        return self.now, rows

    def _free(self, seat: SimNode, *, retired: bool) -> None:
        """The client may be given its next operation."""
        self.load.completed(seat.client, self.now, retired=retired)
        self._schedule_load()

    # The administrator.

    def administer(self, ask: Ask, cause: int) -> None:
        """Has the administrator ask for it, when all that it was told before is done."""
        self._errands.add(ask)
        self._begin_errand(cause)

    def _begin_errand(self, cause: int) -> None:
        seat = self.seats[ADMINISTRATOR]
        operation = None if seat.host is None else self._errands.begin()
        if operation is not None and seat.host is not None:
            self._invoke(seat, seat.host, Assignment(seat.id, -1, operation, self.now), 0, cause)

    def _end_errand(self, outcome: Outcome) -> None:
        token, refused = self._errands.end(outcome)
        self.tally.errands[token] = refused
        order = self.seq
        self.call_at(self.now, lambda: self._begin_errand(order))

    def _end_load(self) -> None:
        if self.tally.healed_at is not None:
            self.aftermath = self.injection.aftermath()
        self._end_if_done()

    def awaited_nodes(self, seat: SimNode) -> tuple[NodeId, ...]:
        """The nodes from which a client awaits an answer, as it says."""
        client = None if seat.host is None else seat.host.root
        try:
            return tuple(client.awaited_nodes()) if isinstance(client, Client) else ()
        except RAISED as error:  # an author's mistake, as in a handler
            self.raised(seat, error)
            return ()

    def _end_if_done(self) -> None:
        if not self._outstanding and self.now >= self.experiment.duration and self.load.next_at == NEVER:
            if self.settling is not None:
                self.settling.begin()
            else:
                self._stop_here()

    def _stop_here(self) -> None:
        self._end = self.now

    def _abandon_operations(self, until: int) -> None:
        """Operations that are still open: nobody knows what becomes of them. The run went on `until` then."""
        for seat in self.seats.values():
            if seat.open is not None and seat.id != ADMINISTRATOR:
                assignment, invoked = seat.open
                outcome = Unknown("the run ended")
                clock = seat.clock
                lasted = until - invoked if clock is None else clock.local(until) - clock.local(invoked)
                self.tally.abandon(seat.id, lasted, self._timeout)
                self.tally.completed(outcome, assignment.scheduled, self.now, self.experiment.warmup)
                self.recording.operation(assignment, outcome, invoked, None)
