"""The clients of a worker: the load generator's assignments, their outcomes, the history."""

from __future__ import annotations

from typing import Any

from framework.core.client import Client, Ok, OperationId, Outcome, Unknown
from framework.core.errors import RAISED
from framework.core.message import NodeId
from framework.core.node_runtime import Invoke
from framework.core.random_streams import stream
from framework.core.time import NEVER
from framework.engine.base import OLDEST, Waiting
from framework.engine.ray.worker.worker import Worker
from framework.engine.ray.worker.worker_node import WorkerNode
from framework.engine.shared.administrator import AdministratorQueue
from framework.faults.actions import Ask
from framework.load.generator import Assignment, LoadGenerator
from framework.replication.administration import ADMINISTRATOR
from framework.trace.recorder import HistoryRow, HistoryWriter, operation_row
from framework.trace.schema import EventKind, as_json


class WorkerClients:
    """Starts each operation when it is due and records how it ended."""

    def __init__(self, worker: Worker, history: HistoryWriter | None) -> None:
        experiment, first = worker.experiment, worker.setup.first_client
        assert first is not None
        self.outstanding = 0
        self._worker, self._history = worker, history
        if history is not None:
            history.under_way = self._under_way
        self._timeout = int(experiment.workload_config.timeout)
        self._hosted_nodes = {hosted.id: hosted for hosted in worker.hosted_nodes.values()}
        self._started = False
        self._administration = AdministratorQueue()
        self._load = LoadGenerator(
            experiment.make_workload(), [host for host in worker.setup.endpoints if host != ADMINISTRATOR],
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
            now = self._worker.now()
            if self._load.next_at <= now:
                for assignment in self._load.due(now):
                    hosted = self._hosted_nodes[assignment.client]
                    if hosted.runtime is not None:
                        self.outstanding += 1
                        self._begin(hosted, assignment, self._timeout)
            if self._history is not None:
                self._history.flush_if_due()

    def administer(self, ask: Ask, cause: int) -> None:
        """Has the administrator ask for it, when all that it was told before is done."""
        self._administration.add(ask)
        self._begin_administration(cause)

    def complete(self, hosted: WorkerNode, operation: OperationId, outcome: Outcome, cause: int) -> None:
        """The client's operation has ended; one of unknown fate retires the process."""
        assert hosted.open is not None and hosted.open[0].operation.id == operation
        worker, now = self._worker, self._worker.now()
        if worker.rows is not None:
            fields: dict[str, Any] = {"operation": operation}
            if type(outcome) is Ok:
                fields["value"] = outcome.value
            else:
                fields["why"] = outcome.why  # type: ignore[union-attr]
            name = type(outcome).__name__.lower()
            worker.rows.row(
                EventKind.COMPLETE, now, cause, hosted.index, name=name, payload=as_json(fields), operation=operation
            )
        if hosted.id == ADMINISTRATOR:
            self._end_administration(hosted, outcome)
            self._begin_administration(cause)
            return
        retired = type(outcome) is Unknown
        self._end(hosted, outcome, now)
        if retired:
            hosted.incarnation += 1
            hosted.inbox = []
            worker.boot(hosted, None)
        if hosted.runtime is not None:
            self._load.completed(hosted.number, now, retired=retired)

    def died(self, hosted: WorkerNode) -> None:
        """The client's own code raised: what becomes of its operation nobody knows."""
        if hosted.open is not None and hosted.id == ADMINISTRATOR:
            self._end_administration(hosted, Unknown(f"{hosted.id} crashed"))
        elif hosted.open is not None:
            self._end(hosted, Unknown(f"{hosted.id} crashed"), self._worker.now())

    def open_operations(self) -> tuple[tuple[Waiting, ...], int]:
        """The oldest of the operations that are open, and how many are."""
        busy = [
            hosted for hosted in self._hosted_nodes.values() if hosted.open is not None and hosted.id != ADMINISTRATOR
        ]
        oldest = sorted(busy, key=lambda hosted: hosted.open[1])[:OLDEST]  # type: ignore[index]
        return tuple(map(self._waiting, oldest)), len(busy)

    def _waiting(self, hosted: WorkerNode) -> Waiting:
        assert hosted.open is not None
        assignment, since = hosted.open
        client, at = None if hosted.runtime is None else hosted.runtime.root, tuple[NodeId, ...]()
        try:
            at = tuple(client.awaited_nodes()) if isinstance(client, Client) else ()
        except RAISED as error:  # an author's mistake, as in a handler
            self._worker.raised(hosted, error)
        return Waiting(hosted.id, assignment.operation.function, assignment.operation.key, since, at)

    def close(self) -> None:
        """Ends the history. Operations that are still open: nobody knows what becomes of them."""
        for hosted in self._hosted_nodes.values():
            if hosted.open is not None and hosted.id != ADMINISTRATOR:
                self._worker.tally.abandon(hosted.id, self._worker.now() - hosted.open[1], self._timeout)
                self._end(hosted, Unknown("the run ended"), None)
        if self._history is not None:
            self._history.close()

    def _under_way(self) -> tuple[int, list[HistoryRow]]:
        """The present time, and the operations whose end is not in the history yet."""
        fate = Unknown("under way")
        hosted_nodes = (hosted for hosted in self._hosted_nodes.values() if hosted.id != ADMINISTRATOR)
        rows = [
            operation_row(hosted.open[0], fate, hosted.open[1], None)
            for hosted in hosted_nodes
            if hosted.open is not None
        ]
        return self._worker.now(), rows

    def _begin_administration(self, cause: int) -> None:
        hosted = self._hosted_nodes[ADMINISTRATOR]
        operation = None if hosted.runtime is None else self._administration.begin()
        if operation is not None:
            self._begin(hosted, Assignment(hosted.id, -1, operation, self._worker.now()), 0, cause)

    def _end_administration(self, hosted: WorkerNode, outcome: Outcome) -> None:
        hosted.open = None
        token, refused = self._administration.end(outcome)
        self._worker.tally.administered[token] = refused

    def _begin(self, hosted: WorkerNode, assignment: Assignment, timeout: int, cause: int = -1) -> None:
        worker, runtime, now = self._worker, hosted.runtime, self._worker.now()
        assert runtime is not None
        hosted.open = (assignment, now)
        worker.set_clocks(hosted, runtime, now)
        step = -1 if worker.rows is None else self._invoke_row(hosted, assignment, now, cause)
        worker.tally.steps += 1
        try:
            runtime.take(Invoke(assignment.operation, timeout, step))
        except RAISED as error:
            worker.raised(hosted, error)
            return
        worker.wake(hosted)

    def _invoke_row(self, hosted: WorkerNode, assignment: Assignment, now: int, cause: int) -> int:
        operation, rows = assignment.operation, self._worker.rows
        assert rows is not None
        fields = {
            "operation": operation.id, "process": assignment.process, "key": operation.key,
            "argument": operation.argument, "scheduled": assignment.scheduled,
        }  # fmt: skip
        return rows.row(
            EventKind.INVOKE,
            now,
            cause,
            hosted.index,
            name=operation.function,
            payload=as_json(fields),
            operation=operation.id,
        )

    def _end(self, hosted: WorkerNode, outcome: Outcome, completed: int | None) -> None:
        assert hosted.open is not None
        assignment, invoked = hosted.open
        if self._history is not None:  # an operation that cannot be recorded stays open
            self._history.append(operation_row(assignment, outcome, invoked, completed))
        hosted.open = None
        self.outstanding -= 1
        worker = self._worker
        now = worker.now() if completed is None else completed
        worker.tally.completed(outcome, assignment.scheduled, now, worker.experiment.warmup)
