"""Runs the clients of one process: the load generator's assignments, their outcomes, the history, the administrator.

An operation that takes too long is ended by its own client (`framework.core.client`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from framework.core.client import Client, Fail, Ok, OperationId, Outcome, Unknown
from framework.core.errors import RAISED
from framework.core.message import NodeId
from framework.core.node_runtime import Invoke, NodeRuntime
from framework.core.random_streams import stream
from framework.engine.base import OLDEST, Experiment, Waiting
from framework.engine.shared.administrator import AdministratorQueue
from framework.engine.shared.node_life import PAUSES, HostedNode, NodeLife, RecordingPorts
from framework.engine.tally import Tally
from framework.faults.actions import RunAdminOperation
from framework.load.generator import Assignment, LoadGenerator
from framework.replication.administration import ADMINISTRATOR
from framework.trace.recorder import HistoryRow, HistoryWriter, operation_row
from framework.trace.schema import EventKind

_INVOKE, _COMPLETE = EventKind.INVOKE, EventKind.COMPLETE


class ClientPorts(RecordingPorts, Protocol):
    """The engine as `ClientDriver` uses it."""

    life: NodeLife

    def invoke(self, node: Any, runtime: NodeRuntime, given: Invoke, now: int) -> None:
        """Has a client take its operation at the time `now`; an exception there crashes the client."""

    def reboot(self, node: Any, cause: int) -> None:
        """Starts a client's next process."""

    def soon(self, call: Callable[[], None]) -> None:
        """Calls `call` now, or as the next event at the present time."""

    def load_changed(self, at: int) -> None:
        """Called when `next_at`, which is now `at`, may have changed."""

    def operation_ended(self) -> None:
        """Called when an operation is over, and its client may begin the next one."""


class ClientDriver:
    """Starts each operation when it is due and records its outcome.

    `first` is the number of the process's first client among all clients of the run. `outstanding`: the number of
    operations under way. `is_final`: the final phase has begun.
    """

    def __init__(
        self, experiment: Experiment, nodes: Iterable[HostedNode], ports: ClientPorts, tally: Tally,
        history: HistoryWriter | None, first: int = 0,
    ) -> None:  # fmt: skip
        self.outstanding = 0
        self.is_final = False
        self._ports, self._tally, self._history = ports, tally, history
        self._now, self._record, self._load_changed = ports.now, ports.record, ports.load_changed
        if history is not None:
            history.under_way = self._under_way
        self._is_traced = experiment.trace == "full"
        self._warmup = experiment.warmup
        self._timeout = int(experiment.workload_config.timeout)
        self._nodes = {node.id: node for node in nodes}
        self._held: dict[NodeId, Assignment] = {}  # of paused clients: the operation that is due
        self._dropped = 0  # operations that a paused client never began
        self._retiring: dict[NodeId, int] = {}  # paused clients whose process is to be replaced, with the cause
        self._administration = AdministratorQueue()
        self._load = LoadGenerator(
            experiment.make_workload(), [node for node in self._nodes if node != ADMINISTRATOR],
            lambda purpose, entity: stream(experiment.seed, purpose, entity),
            stop=experiment.duration, first=first, total=len(experiment.clients), name=experiment.workload.name,
        )  # fmt: skip

    @property
    def next_at(self) -> int:
        """The time at which the next operation is due; NEVER if none will start."""
        return self._load.next_at

    @property
    def never_started(self) -> int:
        """Number of operations that fell due and found no free client, or one that was paused to the end."""
        return self._load.waiting + len(self._held) + self._dropped

    def begin_due(self) -> None:
        """Invokes the operations that are due."""
        now = self._now()
        for assignment in self._load.due(now):
            node = self._nodes[assignment.client]
            if node.runtime is None:  # its client class raised
                refused = Fail(f"{node.id} is down")
                self._count(assignment, refused, now)
                if self._history is not None:
                    self._history.rows.append(operation_row(assignment, refused, now, now))
                continue
            if node.state in PAUSES:  # it invokes once it goes on
                self._held[node.id] = assignment
                continue
            self.outstanding += 1
            self._invoke(node, node.runtime, assignment, self._timeout, now)
        self._load_changed(self._load.next_at)

    def begin_final(self) -> None:
        """Begins the final phase of the workload."""
        self.is_final = True
        clients = [node for node in self._nodes.values() if node.id != ADMINISTRATOR]
        self._load.begin_final(self._now(), [node.client for node in clients if node.open is None])
        self._load_changed(self._load.next_at)

    def complete(self, node: HostedNode, operation: OperationId, outcome: Outcome, cause: int, now: int) -> None:
        """Ends a client's operation at the time `now`. One of unknown fate retires the client's process."""
        assert node.open is not None and node.open[0].operation.id == operation
        if self._is_traced:
            fields: dict[str, Any] = {"operation": operation}
            if type(outcome) is Ok:
                fields["value"] = outcome.value
            else:
                fields["why"] = outcome.why  # type: ignore[union-attr]
            name = type(outcome).__name__.lower()
            step = self._record(_COMPLETE, now, cause, node, name=name, fields=fields, operation=operation)
        else:
            step = self._record(_COMPLETE, now, cause, node)
        if node.id == ADMINISTRATOR:
            self._administered(node, outcome, step)
            return
        self._end(node, outcome, now)
        if type(outcome) is Unknown:  # the client is free again once its new process has started
            self._ports.soon(lambda: self._retire(node, step))
        else:
            self._load.completed(node.client, now, retired=False)
            self._load_changed(self._load.next_at)
            self._ports.operation_ended()

    def stopped(self, node: HostedNode) -> None:
        """Ends the operation of a client that crashed by its own exception; its fate is unknown."""
        if node.open is None:
            return
        outcome = Unknown(f"{node.id} crashed")
        if node.id == ADMINISTRATOR:
            self._administered(node, outcome, -1)
        else:
            self._end(node, outcome, self._now())
            self._ports.operation_ended()

    def crashed(self, node: HostedNode) -> None:
        """Takes a client that a fault has crashed out of the load, until it is restarted."""
        self._dropped += self._held.pop(node.id, None) is not None
        self._retiring.pop(node.id, None)
        if node.id != ADMINISTRATOR:
            self._load.suspend(node.client)
            self._load_changed(self._load.next_at)

    def restarted(self, node: HostedNode) -> None:
        """Lets a client that is up again continue, under a new process id."""
        if node.id != ADMINISTRATOR and node.runtime is not None:
            self._replaced(node)

    def resumed(self, node: HostedNode) -> None:
        """Continues with what fell due while the client was paused."""
        if node.id in self._retiring:
            self._retire(node, self._retiring.pop(node.id))
        assignment = self._held.pop(node.id, None)
        if assignment is not None and not self._load.accepts(node.client, self._now()):
            self._dropped += 1
        elif assignment is not None and node.runtime is not None:
            self.outstanding += 1
            self._invoke(node, node.runtime, assignment, self._timeout, self._now())

    def administer(self, ask: RunAdminOperation, cause: int) -> None:
        """Has the administrator perform an operation once all earlier ones are done."""
        self._administration.add(ask)
        self._begin_administration(cause)

    def open_operations(self) -> tuple[tuple[Waiting, ...], int]:
        """Returns the oldest open operations, and the number of all open ones."""
        busy = [node for node in self._nodes.values() if node.open is not None and node.id != ADMINISTRATOR]
        oldest = sorted(busy, key=lambda node: node.open[1])[:OLDEST]  # type: ignore[index]
        return tuple(map(self._waiting, oldest)), len(busy)

    def close(self, until: int) -> None:
        """Ends the operations that are still open at the end of the run (`until`); their fate is unknown."""
        for node in self._nodes.values():
            if node.open is not None and node.id != ADMINISTRATOR:
                self._tally.abandon(node.id, node.lasted(node.open[1], until), self._timeout)
                self._end(node, Unknown("the run ended"), None)

    def _waiting(self, node: HostedNode) -> Waiting:
        assert node.open is not None
        assignment, since = node.open
        client, at = None if node.runtime is None else node.runtime.root, tuple[NodeId, ...]()
        try:
            at = tuple(client.awaited_nodes()) if isinstance(client, Client) else ()
        except RAISED as error:  # an author's mistake, as in a handler
            self._ports.life.raised(node, error)
        return Waiting(node.id, assignment.operation.function, assignment.operation.key, since, at)

    def _under_way(self) -> tuple[int, list[HistoryRow]]:
        """Returns the present time, and the operations whose end is not in the history yet."""
        fate = Unknown("under way")
        clients = (node for node in self._nodes.values() if node.id != ADMINISTRATOR)
        rows = [operation_row(node.open[0], fate, node.open[1], None) for node in clients if node.open is not None]
        return self._now(), rows

    def _invoke(
        self, node: HostedNode, runtime: NodeRuntime, assignment: Assignment, timeout: int, now: int, cause: int = -1
    ) -> None:
        operation = assignment.operation
        node.open = (assignment, now)
        if self._is_traced:
            fields = {
                "operation": operation.id, "process": assignment.process, "key": operation.key,
                "argument": operation.argument, "scheduled": assignment.scheduled,
            }  # fmt: skip
            step = self._record(
                _INVOKE, now, cause, node, name=operation.function, fields=fields, operation=operation.id
            )
        else:
            step = self._record(_INVOKE, now, cause, node)
        self._ports.invoke(node, runtime, Invoke(operation, timeout, step), now)

    def _retire(self, node: HostedNode, cause: int) -> None:
        if node.state in PAUSES:
            self._retiring[node.id] = cause
            return
        if node.runtime is not None:
            assert node.open is None, f"{node.id} would lose the operation that it has under way"
            self._ports.reboot(node, cause)
        if node.runtime is not None:
            self._replaced(node)
        self._ports.operation_ended()

    def _replaced(self, node: HostedNode) -> None:
        """Frees a client that goes on under a new process id for its next operation."""
        self._load.completed(node.client, self._now(), retired=True)
        self._load_changed(self._load.next_at)

    def _end(self, node: HostedNode, outcome: Outcome, completed: int | None) -> None:
        assert node.open is not None
        assignment, invoked = node.open
        if self._history is not None:  # an operation that cannot be recorded stays open
            self._history.rows.append(operation_row(assignment, outcome, invoked, completed))
        node.open = None
        self.outstanding -= 1
        now = self._now() if completed is None else completed
        self._count(assignment, outcome, now)

    def _count(self, assignment: Assignment, outcome: Outcome, now: int) -> None:
        if self._load.reports_ends:
            self._load.ended(assignment.client, assignment.operation, outcome)
        if self.is_final:
            self._tally.count(outcome)
        else:
            self._tally.completed(outcome, assignment.scheduled, now, self._warmup)

    def _begin_administration(self, cause: int) -> None:
        node = self._nodes[ADMINISTRATOR]
        operation = None if node.runtime is None else self._administration.begin()
        if operation is not None and node.runtime is not None:
            now = self._now()
            self._invoke(node, node.runtime, Assignment(node.id, -1, operation, now), 0, now, cause)

    def _administered(self, node: HostedNode, outcome: Outcome, cause: int) -> None:
        node.open = None
        token, refused = self._administration.end(outcome)
        self._tally.administered[token] = refused
        self._ports.soon(lambda: self._begin_administration(cause))
