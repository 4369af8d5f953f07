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
from framework.engine.sim.fault_executor import SimFaultExecutor
from framework.engine.sim.recording import Heartbeat, Recording
from framework.engine.sim.settling import Settling
from framework.engine.sim.sim_node import WALL_EPOCH, SimNode
from framework.engine.wire_codec import Wire
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
        self._administration = AdministratorQueue()
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
            for hosted in self.hosted_nodes.values():
                if not hosted.stands_by:
                    self._boot(hosted, cause=-1)
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
            time, order, hosted, message, sender, path, index, cause, size = heappop(heap)
            if time > self._end:
                break
            self.now = time
            if hosted is None:
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
                        f"virtual time stands still at {format_duration(time)}: {hosted.id} and its peers never rest"
                    )
            if message is None:
                if order == hosted.wake_order:
                    hosted.wake_at = NEVER
                    self._wake(hosted)
                continue
            host = hosted.runtime
            if host is None:
                self._drop(hosted, (message, sender, path, index, cause, size), f"{hosted.id} is down")
                continue
            if hosted.slow:
                hosted.mailbox.append((message, sender, path, index, cause, size))
                if not hosted.busy:
                    self._run_batch(hosted)
                continue
            if path and not host.has_mount(path):
                self._mount_gone(hosted, (message, sender, path, index, cause, size))
                continue
            clock = hosted.clock
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
                    self._deliver_row(hosted, (message, sender, path, index, cause, size), seq)
                else:
                    rows.append(_pack(time, seq, cause, size, -1, hosted.index, sender.index, codes[index], _DELIVER))
                    if has_operation[index]:
                        operations.append(_pack_operation(seq, message.operation))
            try:
                self._finish(hosted, host, host.deliver_one(path, sender.id, message, seq))
            except RAISED as error:
                self.raised(hosted, error)

    def _settle_tally(self) -> None:
        self.tally.steps = self.steps
        self.tally.messages = {
            name: count for name, count in zip(self.wire.names, self.delivered, strict=True) if count
        }

    def up(self) -> frozenset[NodeId]:
        """The nodes and clients that run."""
        return frozenset(hosted.id for hosted in self.hosted_nodes.values() if hosted.runtime is not None)

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
            hosted = self.hosted_nodes[assignment.client]
            if hosted.runtime is None:  # its client class raised
                refused = Fail(f"{hosted.id} is down")
                self.tally.completed(refused, assignment.scheduled, self.now, self.experiment.warmup)
                self.recording.operation(assignment, refused, self.now, self.now)
                continue
            self._outstanding += 1
            self._invoke(hosted, hosted.runtime, assignment, self._timeout)
        self._schedule_load()

    def _invoke(
        self, hosted: SimNode, host: NodeRuntime, assignment: Assignment, timeout: int, cause: int = -1
    ) -> None:
        hosted.open = (assignment, self.now)
        operation = assignment.operation
        self._set_clocks(hosted, host)
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
                hosted.index,
                message=name,
                payload=payload,
                operation=operation.id,
            )
        try:
            self._finish(hosted, host, host.run_one(Invoke(operation, timeout, seq)))
        except RAISED as error:
            self.raised(hosted, error)

    def _complete(self, hosted: SimNode, operation: int, outcome: Any, cause: int) -> None:
        assert hosted.open is not None and hosted.open[0].operation.id == operation
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
                hosted.index,
                message=name,
                payload=as_json(fields),
                operation=operation,
            )
        self._end_operation(hosted, outcome)
        if hosted.id == ADMINISTRATOR:
            return
        if type(outcome) is Unknown:  # a new process starts, and only then is the client free again
            order = self.seq
            self.call_at(self.now, lambda: self._retire(hosted, order))
        else:
            self._free(hosted, retired=False)

    def _retire(self, hosted: SimNode, cause: int) -> None:
        if hosted.runtime is not None:
            assert hosted.open is None, f"{hosted.id} would lose the operation that it has under way"
            self._boot(hosted, cause)
            self._free(hosted, retired=True)

    def _end_operation(self, hosted: SimNode, outcome: Outcome) -> None:
        assert hosted.open is not None
        assignment, invoked = hosted.open
        if hosted.id == ADMINISTRATOR:
            hosted.open = None
            self._end_administration(outcome)
            return
        self.recording.operation(assignment, outcome, invoked, self.now)  # one that cannot be recorded stays open
        hosted.open = None
        self._outstanding -= 1
        self.tally.completed(outcome, assignment.scheduled, self.now, self.experiment.warmup)
        self._end_if_done()

    def _under_way(self) -> tuple[int, list[HistoryRow]]:
        """The present time, and the operations whose end is not in the history yet."""
        fate = Unknown("under way")
        hosted_nodes = (hosted for hosted in self.hosted_nodes.values() if hosted.id != ADMINISTRATOR)
        rows = [
            operation_row(hosted.open[0], fate, hosted.open[1], None)
            for hosted in hosted_nodes
            if hosted.open is not None
        ]
        return self.now, rows

    def _free(self, hosted: SimNode, *, retired: bool) -> None:
        """The client may be given its next operation."""
        self.load.completed(hosted.client, self.now, retired=retired)
        self._schedule_load()

    # The administrator.

    def administer(self, ask: Ask, cause: int) -> None:
        """Has the administrator ask for it, when all that it was told before is done."""
        self._administration.add(ask)
        self._begin_administration(cause)

    def _begin_administration(self, cause: int) -> None:
        hosted = self.hosted_nodes[ADMINISTRATOR]
        operation = None if hosted.runtime is None else self._administration.begin()
        if operation is not None and hosted.runtime is not None:
            self._invoke(hosted, hosted.runtime, Assignment(hosted.id, -1, operation, self.now), 0, cause)

    def _end_administration(self, outcome: Outcome) -> None:
        token, refused = self._administration.end(outcome)
        self.tally.administered[token] = refused
        order = self.seq
        self.call_at(self.now, lambda: self._begin_administration(order))

    def _end_load(self) -> None:
        if self.tally.healed_at is not None:
            self.aftermath = self.injection.aftermath()
        self._end_if_done()

    def awaited_nodes(self, hosted: SimNode) -> tuple[NodeId, ...]:
        """The nodes from which a client awaits an answer, as it says."""
        client = None if hosted.runtime is None else hosted.runtime.root
        try:
            return tuple(client.awaited_nodes()) if isinstance(client, Client) else ()
        except RAISED as error:  # an author's mistake, as in a handler
            self.raised(hosted, error)
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
        for hosted in self.hosted_nodes.values():
            if hosted.open is not None and hosted.id != ADMINISTRATOR:
                assignment, invoked = hosted.open
                outcome = Unknown("the run ended")
                clock = hosted.clock
                lasted = until - invoked if clock is None else clock.local(until) - clock.local(invoked)
                self.tally.abandon(hosted.id, lasted, self._timeout)
                self.tally.completed(outcome, assignment.scheduled, self.now, self.experiment.warmup)
                self.recording.operation(assignment, outcome, invoked, None)
