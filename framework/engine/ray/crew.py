"""The clients of a station: the load generator's assignments, their outcomes, the history."""

from __future__ import annotations

from typing import Any

from framework.core.client import Client, Ok, OperationId, Outcome, Unknown
from framework.core.errors import RAISED
from framework.core.message import NodeId
from framework.core.node_runtime import Invoke
from framework.core.random_streams import stream
from framework.core.time import NEVER
from framework.engine.base import OLDEST, Waiting
from framework.engine.ray.seat import HostedNode
from framework.engine.ray.station import Station
from framework.engine.shared.administrator import AdministratorQueue
from framework.faults.actions import Ask
from framework.load.generator import Assignment, LoadGenerator
from framework.replication.administration import ADMINISTRATOR
from framework.trace.recorder import HistoryRow, HistoryWriter, operation_row
from framework.trace.schema import EventKind, as_json


class Crew:
    """Starts each operation when it is due and records how it ended."""

    def __init__(self, station: Station, history: HistoryWriter | None) -> None:
        experiment, first = station.experiment, station.setup.first_client
        assert first is not None
        self.outstanding = 0
        self._station, self._history = station, history
        if history is not None:
            history.under_way = self._under_way
        self._timeout = int(experiment.workload_config.timeout)
        self._seats = {seat.id: seat for seat in station.seats.values()}
        self._started = False
        self._errands = AdministratorQueue()
        self._load = LoadGenerator(
            experiment.make_workload(), [host for host in station.setup.hosts if host != ADMINISTRATOR],
            lambda purpose, entity: stream(experiment.seed, purpose, entity),
            stop=experiment.duration, first=first, total=len(experiment.clients),
            name=experiment.workload.name,
        )  # fmt: skip

    @property
    def next_at(self) -> int:
        """When the next operation is due."""
        return self._load.next_at if self._started else NEVER

    @property
    def finished(self) -> bool:
        """Whether every operation has ended and none will start."""
        return not self.outstanding and self._load.next_at >= NEVER and self._started

    def start(self) -> None:
        self._started = True
        self.begin_due()

    def begin_due(self) -> None:
        """Invokes what is due; the first step of each operation is part of its client's next batch."""
        if self._started:
            now = self._station.now()
            if self._load.next_at <= now:
                for assignment in self._load.due(now):
                    seat = self._seats[assignment.client]
                    if seat.host is not None:
                        self.outstanding += 1
                        self._begin(seat, assignment, self._timeout)
            if self._history is not None:
                self._history.flush_if_due()

    def administer(self, ask: Ask, cause: int) -> None:
        """Has the administrator ask for it, when all that it was told before is done."""
        self._errands.add(ask)
        self._begin_errand(cause)

    def complete(self, seat: HostedNode, operation: OperationId, outcome: Outcome, cause: int) -> None:
        """The client's operation has ended; one of unknown fate retires the process."""
        assert seat.open is not None and seat.open[0].operation.id == operation
        station, now = self._station, self._station.now()
        if station.rows is not None:
            fields: dict[str, Any] = {"operation": operation}
            if type(outcome) is Ok:
                fields["value"] = outcome.value
            else:
                fields["why"] = outcome.why  # type: ignore[union-attr]
            name = type(outcome).__name__.lower()
            station.rows.row(
                EventKind.COMPLETE, now, cause, seat.index, name=name, payload=as_json(fields), operation=operation
            )
        if seat.id == ADMINISTRATOR:
            self._end_errand(seat, outcome)
            self._begin_errand(cause)
            return
        retired = type(outcome) is Unknown
        self._end(seat, outcome, now)
        if retired:
            seat.incarnation += 1
            seat.inbox = []
            station.boot(seat, None)
        if seat.host is not None:
            self._load.completed(seat.number, now, retired=retired)

    def died(self, seat: HostedNode) -> None:
        """The client's own code raised: what becomes of its operation nobody knows."""
        if seat.open is not None and seat.id == ADMINISTRATOR:
            self._end_errand(seat, Unknown(f"{seat.id} crashed"))
        elif seat.open is not None:
            self._end(seat, Unknown(f"{seat.id} crashed"), self._station.now())

    def open_operations(self) -> tuple[tuple[Waiting, ...], int]:
        """The oldest of the operations that are open, and how many are."""
        busy = [seat for seat in self._seats.values() if seat.open is not None and seat.id != ADMINISTRATOR]
        oldest = sorted(busy, key=lambda seat: seat.open[1])[:OLDEST]  # type: ignore[index]
        return tuple(map(self._waiting, oldest)), len(busy)

    def _waiting(self, seat: HostedNode) -> Waiting:
        assert seat.open is not None
        assignment, since = seat.open
        client, at = None if seat.host is None else seat.host.root, tuple[NodeId, ...]()
        try:
            at = tuple(client.awaited_nodes()) if isinstance(client, Client) else ()
        except RAISED as error:  # an author's mistake, as in a handler
            self._station.raised(seat, error)
        return Waiting(seat.id, assignment.operation.function, assignment.operation.key, since, at)

    def close(self) -> None:
        """Ends the history. Operations that are still open: nobody knows what becomes of them."""
        for seat in self._seats.values():
            if seat.open is not None and seat.id != ADMINISTRATOR:
                self._station.tally.abandon(seat.id, self._station.now() - seat.open[1], self._timeout)
                self._end(seat, Unknown("the run ended"), None)
        if self._history is not None:
            self._history.close()

    def _under_way(self) -> tuple[int, list[HistoryRow]]:
        """The present time, and the operations whose end is not in the history yet."""
        fate = Unknown("under way")
        seats = (seat for seat in self._seats.values() if seat.id != ADMINISTRATOR)
        rows = [operation_row(seat.open[0], fate, seat.open[1], None) for seat in seats if seat.open is not None]
        return self._station.now(), rows

    def _begin_errand(self, cause: int) -> None:
        seat = self._seats[ADMINISTRATOR]
        operation = None if seat.host is None else self._errands.begin()
        if operation is not None:
            self._begin(seat, Assignment(seat.id, -1, operation, self._station.now()), 0, cause)

    def _end_errand(self, seat: HostedNode, outcome: Outcome) -> None:
        seat.open = None
        token, refused = self._errands.end(outcome)
        self._station.tally.errands[token] = refused

    def _begin(self, seat: HostedNode, assignment: Assignment, timeout: int, cause: int = -1) -> None:
        station, runtime, now = self._station, seat.host, self._station.now()
        assert runtime is not None
        seat.open = (assignment, now)
        station.set_clocks(seat, runtime, now)
        step = -1 if station.rows is None else self._invoke_row(seat, assignment, now, cause)
        station.tally.steps += 1
        try:
            runtime.take(Invoke(assignment.operation, timeout, step))
        except RAISED as error:
            station.raised(seat, error)
            return
        station.wake(seat)

    def _invoke_row(self, seat: HostedNode, assignment: Assignment, now: int, cause: int) -> int:
        operation, rows = assignment.operation, self._station.rows
        assert rows is not None
        fields = {
            "operation": operation.id, "process": assignment.process, "key": operation.key,
            "argument": operation.argument, "scheduled": assignment.scheduled,
        }  # fmt: skip
        return rows.row(
            EventKind.INVOKE,
            now,
            cause,
            seat.index,
            name=operation.function,
            payload=as_json(fields),
            operation=operation.id,
        )

    def _end(self, seat: HostedNode, outcome: Outcome, completed: int | None) -> None:
        assert seat.open is not None
        assignment, invoked = seat.open
        if self._history is not None:  # an operation that cannot be recorded stays open
            self._history.append(operation_row(assignment, outcome, invoked, completed))
        seat.open = None
        self.outstanding -= 1
        station = self._station
        now = station.now() if completed is None else completed
        station.tally.completed(outcome, assignment.scheduled, now, station.experiment.warmup)
