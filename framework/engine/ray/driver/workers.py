"""The workers of a run through all their incarnations: spawned, watched, killed, stopped, replaced.

Nothing here waits for one worker alone: an answer that is due stands in `_due` with what to do about it, so that a
stopped or dead process never holds up the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from framework.core.message import NodeId
from framework.engine.base import Experiment, NodeCrash, Tally
from framework.engine.ray.driver.faults_in_force import FaultsInForce
from framework.engine.ray.driver.launch import Launch
from framework.engine.ray.driver.remote_worker import Machine, RemoteWorker
from framework.engine.ray.worker.actor import Booted, Contact, NodeFailed, WorkerAddress, WorkerReport
from framework.engine.ray.worker.local_faults import BootOrder
from framework.engine.ray.worker.setup import database_of, worker_name
from framework.faults.actions import TORN_COMMIT_CUT, Action, CommitFate, Crash, Restart
from framework.faults.fault import Status
from framework.trace.schema import EventKind

if TYPE_CHECKING:
    from framework.engine.ray.runtime import RayRuntime
    from framework.engine.ray.worker.trace_rows import EventRows

NODE_REPORT_S, CLIENT_REPORT_S = 0.5, 0.2


class Workers:
    """The life of every worker, as the driver sees it. `rows` records what the driver does to them (None: not traced)."""

    def __init__(self, experiment: Experiment, runtime: RayRuntime, rows: EventRows | None) -> None:
        self.experiment, self.rows = experiment, rows
        self.crashes: list[NodeCrash] = []
        self.failure = ""
        self.rejected = 0
        self.zero = 0
        self.epoch = 0
        self.lost: set[NodeId] = set()  # nodes that no restart brings back
        self.standing_by = set(experiment.spares)  # nodes that have never run
        self._touched_counts: dict[int, tuple[int, int]] = {}  # of workers that have ended
        self.conditions = FaultsInForce()
        self.met: Callable[[NodeId], None] = lambda node: None  # told of each commit that met a disk in trouble
        self.came: Callable[[NodeId, str], None] = lambda node, text: None  # told what came of a node's last crash
        self.launch = Launch(experiment, runtime)
        self.workers = self.launch.workers
        self._due: dict[Any, Callable[[Any], None]] = {}
        self._ended_tallies: list[Tally] = []
        self._index = {host: index for index, host in enumerate(experiment.endpoints)}
        self._ending = False

    def now(self) -> int:
        """Nanoseconds since the run's start."""
        return time.monotonic_ns() - self.zero

    def machine(self, worker: RemoteWorker) -> Machine:
        """WorkerAddress a worker lives."""
        return self.launch.machines[worker.machine]

    def is_up(self, node: NodeId) -> bool:
        """Whether the node runs, or stands still, as far as is known."""
        worker = self.launch.worker_of[node]
        return (
            node not in self.standing_by
            and worker.up
            and (len(worker.endpoints) == 1 or worker.statuses.get(node) is not None)
            and node not in self.lost
        )

    def tell(self, worker: RemoteWorker, action: Action, cause: int = -1) -> None:
        """Has a worker that is up carry out a fault within its process, in the order of these calls; one that is yet to
        boot is told of all that is in force when it does."""
        if worker.up and worker.booted:
            self._apply(worker, action, cause)

    # One incarnation.

    def _expect(self, answer: Any, act: Callable[[Any], None]) -> None:
        self._due[answer] = act

    def _row(self, kind: EventKind, at: int, cause: int, host: NodeId, **columns: Any) -> int:
        return -1 if self.rows is None else self.rows.row(kind, at, cause, self._index[host], **columns)

    def _spawn(self, worker: RemoteWorker) -> None:
        """Creates the actor of the worker's present incarnation and watches it."""
        worker.handle = self.launch.create(worker)
        worker.where = None
        worker.up = worker.booted = worker.asked = worker.paused = False
        self._watch(worker)

    def _watch(self, worker: RemoteWorker) -> None:
        incarnation = worker.incarnation
        watch = worker.handle.watch.options(concurrency_group="watch").remote()
        self._expect(watch, lambda answer: self._ended(worker, incarnation, answer))

    def _boot_call(self, worker: RemoteWorker, cause: int) -> Any:
        order = BootOrder(
            zero=self.zero + self.machine(worker).offset, epoch=self.epoch, cause=cause,
            faults=self.conditions.faults(worker.endpoints), clocks=self.conditions.clocks(worker.endpoints),
            acknowledged=worker.acknowledged, standing_by=frozenset(self.standing_by.intersection(worker.endpoints)),
        )  # fmt: skip
        worker.acknowledged, worker.booted = None, True
        return worker.handle.boot.options(concurrency_group="faults").remote(order)

    def _contacts(self) -> dict[int, Contact]:
        return {worker.worker: self._contact(worker) for worker in self.workers if worker.where is not None}

    def _contact(self, worker: RemoteWorker) -> Contact:
        assert worker.where is not None
        return worker_name(worker.worker, worker.incarnation), worker.where.address, worker.handle

    # What faults do to them.

    def crash(self, node: NodeId, cause: int, fate: Callable[[], CommitFate]) -> CommitFate | None:
        """Crashes a node that is up: SIGKILL for one that has a process to itself, and its replacement starts at once.

        Returns the fate of the commit in flight; None if there was none, or if the injector will hear of it through `came`.
        """
        worker = self.launch.worker_of[node]
        if len(worker.endpoints) > 1:
            self._turn(worker, Crash(node), cause, None, fate())
            return None
        in_flight = self._kill(worker)
        self._down(worker, "fault", cause, asked=True)  # its row comes after the last one of the process
        left = self._leave(worker, fate()) if in_flight else None
        self._replace(worker)
        return left

    def restart(self, node: NodeId, cause: int) -> None:
        """Starts a node that is down, on the machine that holds its storage."""
        worker = self.launch.worker_of[node]
        stood_by = node in self.standing_by
        if worker.up and worker.booted:
            self.standing_by.discard(node)
        if len(worker.endpoints) > 1 or stood_by:
            self._turn(worker, Restart(node), cause, {})
            return
        if worker.where is None and not worker.arriving:
            self._replace(worker)
        worker.wanted = cause
        self._revive(worker)

    def _turn(
        self, worker: RemoteWorker, action: Crash | Restart, cause: int, status: Status | None, fate: CommitFate = "kept"
    ) -> None:  # fmt: skip
        """Has a worker crash or restart one of its nodes, whose status is `status` until it has."""
        if not (worker.up and worker.booted):
            return
        node = action.node
        worker.turns[node] = worker.turns.get(node, 0) + 1
        worker.statuses[node] = status

        def done(answer: Any) -> None:
            if isinstance(answer, str):
                self.came(node, f"{node}'s commit in flight was {answer}")

        self._expect(self._apply(worker, action, cause, fate), done)

    def _apply(self, worker: RemoteWorker, action: Action, cause: int, fate: CommitFate = "kept") -> Any:
        return worker.handle.apply.options(concurrency_group="faults").remote(action, cause, fate)

    def pause(self, worker: RemoteWorker, *, paused: bool) -> None:
        """SIGSTOP, or SIGCONT, for the process of a worker that is up."""
        assert worker.where is not None
        self.machine(worker).signal(worker.where.pid, "stop" if paused else "continue")
        worker.paused = paused

    def damage(self, node: NodeId) -> str:
        """Damages the storage of a node that is down; says what a restart will find, "" if there is nothing to damage."""
        worker = self.launch.worker_of[node]
        machine = self.machine(worker)
        path = database_of(machine.folder, worker.endpoints)
        return machine.damage(path, worker.acknowledged if worker.acknowledged is not None else 1 << 62)

    def _kill(self, worker: RemoteWorker) -> bool:
        """Ends the process of a worker; whether a commit was in flight, of which `worker.acknowledged` then is the last before."""
        assert worker.where is not None
        worker.asked = True
        machine = self.machine(worker)
        begun, acknowledged = machine.end(worker.where.pid, database_of(machine.folder, worker.endpoints))
        worker.acknowledged = acknowledged if begun > acknowledged else None
        worker.torn = False
        return begun > acknowledged

    def _leave(self, worker: RemoteWorker, fate: CommitFate) -> CommitFate:
        """Leaves the commit in flight of a process that was killed as `fate` says; what really became of it."""
        assert worker.acknowledged is not None
        machine = self.machine(worker)
        left = machine.leave(database_of(machine.folder, worker.endpoints), worker.acknowledged + 1, fate)
        if left != "lost":
            worker.acknowledged = None  # all that are there count; what is torn, recovery finds by itself
        worker.torn = left == "torn"
        return left

    # Death and rebirth.

    def _down(self, worker: RemoteWorker, why: str, cause: int, *, asked: bool = False) -> None:
        self._retire(worker)
        for host in worker.endpoints:
            now = self.now()
            self.crashes.append(NodeCrash(host, now, why, asked=asked))
            self._row(EventKind.CRASH, now, cause, host, payload=why.encode())

    def _retire(self, worker: RemoteWorker) -> None:
        """What the worker has counted stays."""
        worker.up = False
        self._ended_tallies.append(worker.tally)
        self._touched_counts = added(self._touched_counts, worker.touched_counts)
        worker.tally, worker.touched_counts, worker.met, worker.statuses, worker.turns = Tally(), {}, {}, {}, {}

    def _crashed(self, crash: NodeCrash) -> None:
        if crash not in self.crashes:
            self.crashes.append(crash)

    def _replace(self, worker: RemoteWorker) -> None:
        """The next incarnation's process starts; it boots once it is `wanted`."""
        worker.incarnation += 1
        worker.wanted, worker.arriving = None, True
        self._spawn(worker)

        def arrived(answer: Any) -> None:
            worker.arriving = False
            if isinstance(answer, WorkerAddress):
                worker.where = answer
                self._revive(worker)
            elif not self._ending:
                self.failure = self.failure or f"{worker.endpoints[0]} could not be started again"

        self._expect(worker.handle.listen.remote(self.launch.listen_host()), arrived)

    def _revive(self, worker: RemoteWorker) -> None:
        """Boots the next incarnation, when it is there and wanted, and tells the others where it is."""
        if worker.where is None or worker.wanted is None or worker.up:
            return
        cause, worker.wanted, worker.up = worker.wanted, None, True
        contact = {worker.worker: self._contact(worker)}
        for other in self.workers:
            if other.up and other is not worker:
                other.handle.learn.remote(contact)
        handle = worker.handle

        def connected(_: Any) -> None:
            self._expect(self._boot_call(worker, cause), booted)

        def booted(answer: Any) -> None:
            if isinstance(answer, Booted):
                if answer.cut and worker.torn:
                    self.came(worker.endpoints[0], TORN_COMMIT_CUT)
                if answer.refused:
                    self._refused(worker, answer.refused)
            if worker.handle is handle and worker.up:
                self._report(worker)

        self._expect(handle.learn.remote(self._contacts()), connected)

    def _refused(self, worker: RemoteWorker, why: str) -> None:
        """A worker's storage cannot be read: as a fault has left it, or the run cannot go on."""
        if not self.conditions.damaged(worker.endpoints):
            self.failure = self.failure or why
            return
        self._retire(worker)
        for node in worker.endpoints:
            self._crashed(NodeCrash(node, self.now(), f"storage damaged: {why}", asked=True, storage=True))
            self.lost.add(node)
            self.met(node)

    def _ended(self, worker: RemoteWorker, incarnation: int, answer: Any) -> None:
        """A worker's watch has ended: it failed, or its process is gone."""
        if self._ending or worker.incarnation != incarnation or worker.asked:
            return
        if isinstance(answer, str):
            self.failure = self.failure or answer
            return
        if isinstance(answer, NodeFailed):
            self._fell(worker, answer)
            return
        if not worker.up:
            self.failure = self.failure or f"{worker.endpoints[0]}: its process died before it was up"
            return
        why = "killed unasked (its process is gone)"
        if worker.first_client is not None:
            self.failure = self.failure or f"the process of the clients {worker.endpoints[0]}… was {why}"
            return
        self._down(worker, why, -1)
        if self.experiment.engine_config.storage == "memory":
            self.failure = self.failure or f"{worker.endpoints[0]} was {why} and its storage went with it"
            return
        self._replace(worker)
        cause = -1
        for host in worker.endpoints:
            cause = self._row(EventKind.RESTART, self.now(), -1, host)
        worker.wanted = cause

    def _fell(self, worker: RemoteWorker, fall: NodeFailed) -> None:
        """A node stopped because of its storage. A process that served it alone goes too, and nothing but a restart
        brings the node back."""
        self._took(worker, fall.report)
        self._crashed(fall.crash)
        if fall.crash.asked:
            self.conditions.on_storage_failed(fall.crash.node)
        if len(worker.endpoints) > 1:
            self._watch(worker)
            return
        self._retire(worker)
        self._kill(worker)
        if self.experiment.faults:
            self._replace(worker)

    # What they say.

    def _report(self, worker: RemoteWorker) -> None:
        worker.reporting = True
        handle = worker.handle
        worker.next_report = time.monotonic() + (NODE_REPORT_S if worker.first_client is None else CLIENT_REPORT_S)

        def came(answer: Any) -> None:
            if worker.handle is handle:
                worker.reporting = False
                if isinstance(answer, WorkerReport) and worker.up:
                    self._took(worker, answer)

        self._expect(handle.report.remote(), came)

    def _took(self, worker: RemoteWorker, report: WorkerReport) -> None:
        """Takes note of what a worker says of itself."""
        worker.tally, worker.finished, worker.touched_counts = report.tally, report.finished, report.touched_counts
        asked = {node: worker.statuses.get(node) for node, turns in worker.turns.items() if report.turns[node] < turns}
        worker.statuses = {**report.statuses, **asked}  # what it said before it had heard of a crash is out of date
        for node, count in report.met.items():
            for _ in range(count - worker.met.get(node, 0)):
                self.met(node)
        worker.met = report.met
        if worker.first_client is None:
            self.lost.update(node for node in worker.endpoints if node not in worker.statuses)


def added(one: Mapping[int, tuple[int, int]], other: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """The sum of two workers' touched_counts by disturbance."""
    both = {token: (one.get(token, (0, 0)), other.get(token, (0, 0))) for token in (*one, *other)}
    return {token: (a[0] + b[0], a[1] + b[1]) for token, (a, b) in both.items()}
