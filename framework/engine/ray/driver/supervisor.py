"""The driver's view of the workers: starts, watches, kills, stops, replaces and ends them, and queries them as one."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.core.errors import ConfigError, SynodError
from framework.core.message import NodeId
from framework.core.replica import ReplicaState
from framework.core.status import NOTHING_SHOWN, Status
from framework.core.time import SECOND
from framework.core.tracebacks import error_line
from framework.engine.base import OLDEST, Aftermath, Experiment, NodeCrash, agreed
from framework.engine.ray.driver.faults_in_force import FaultsInForce
from framework.engine.ray.driver.launch import Launch
from framework.engine.ray.driver.remote_worker import Machine, RemoteWorker, WorkerState
from framework.engine.ray.runtime import last_words
from framework.engine.ray.worker.actor import Booted, Contact, FinalReport, NodeFailed, WorkerAddress, WorkerReport
from framework.engine.ray.worker.local_faults import BootOrder
from framework.engine.ray.worker.setup import database_of, worker_name
from framework.engine.tally import Tally
from framework.faults.actions import Action, Crash, Restart
from framework.faults.commit_fate import TORN_COMMIT_CUT, CommitFate
from framework.trace.schema import EventKind

if TYPE_CHECKING:
    from framework.engine.ray.runtime import RayRuntime
    from framework.engine.ray.worker.trace_rows import EventRows

NODE_REPORT_S, CLIENT_REPORT_S = 0.5, 0.2

FINISH_S = 8.0
"""Limit for a worker to close its files."""

STATUS_S = 0.5
_DIED = object()

SNAPSHOT_S = 5.0
"""Limit for the replicas of a worker to make snapshots of their states."""


class Supervisor:
    """Starts the workers of a run; watches, kills, stops and replaces them; queries them as one. `rows` records the
    driver's actions on them (None: not traced)."""

    def __init__(self, experiment: Experiment, runtime: RayRuntime, rows: EventRows | None) -> None:
        self.experiment, self.rows = experiment, rows
        self.crashes: list[NodeCrash] = []
        self.failure = ""
        self.rejected = 0
        self.zero = 0
        self.epoch = 0
        self.lost: set[NodeId] = set()  # nodes that no restart can bring back
        self.standing_by = set(experiment.spares)  # nodes that have never run
        self._touched_counts: dict[int, tuple[int, int]] = {}  # of incarnations that have ended
        self.faults_in_force = FaultsInForce()
        self.on_disk_fault_met: Callable[[NodeId], None] = lambda node: None
        self.on_crash_outcome: Callable[[NodeId, str], None] = lambda node, text: None
        self.launch = Launch(experiment, runtime)
        self.workers = self.launch.workers
        self._due: dict[Any, Callable[[Any], None]] = {}
        self._ended_tallies: list[Tally] = []
        self._index = {node: index for index, node in enumerate(experiment.endpoints)}
        self._ending = False
        self._has_started = False

    def now(self) -> int:
        """Returns the nanoseconds since the run's start."""
        return time.monotonic_ns() - self.zero

    def machine(self, worker: RemoteWorker) -> Machine:
        """Returns the machine that a worker runs on."""
        return self.launch.machines[worker.machine]

    def is_up(self, node: NodeId) -> bool:
        """Returns whether the node runs or is paused, as far as is known."""
        worker = self.launch.worker_of[node]
        return (
            node not in self.standing_by
            and worker.is_up
            and (not worker.emulates_crashes or worker.statuses.get(node) is not None)
            and node not in self.lost
        )

    def tell(self, worker: RemoteWorker, action: Action, cause: int = -1) -> None:
        """Has a worker carry out a fault within its process; calls keep their order. Ignored for a worker that has yet
        to boot: its boot order lists all faults in force."""
        if worker.is_booted:
            self._apply(worker, action, cause)

    # One incarnation.

    def _expect(self, answer: Any, act: Callable[[Any], None]) -> None:
        self._due[answer] = act

    def _row(self, kind: EventKind, at: int, cause: int, node: NodeId, **columns: Any) -> int:
        return -1 if self.rows is None else self.rows.row(kind, at, cause, self._index[node], **columns)

    def _spawn(self, worker: RemoteWorker) -> None:
        """Creates the actor of the worker's present incarnation and watches it."""
        worker.actor = self.launch.create(worker)
        worker.where, worker.state = None, WorkerState.STARTING
        self._watch(worker)

    def _watch(self, worker: RemoteWorker) -> None:
        incarnation = worker.incarnation
        watch = worker.actor.watch.options(concurrency_group="watch").remote()
        self._expect(watch, lambda answer: self._ended(worker, incarnation, answer))

    def _boot_call(self, worker: RemoteWorker, cause: int) -> Any:
        order = BootOrder(
            zero=self.zero + self.machine(worker).offset, epoch=self.epoch, cause=cause,
            faults=self.faults_in_force.faults(worker.endpoints), clocks=self.faults_in_force.clocks(worker.endpoints),
            acknowledged=worker.acknowledged, standing_by=frozenset(self.standing_by.intersection(worker.endpoints)),
        )  # fmt: skip
        worker.acknowledged = None
        worker.told_to_boot()
        return worker.actor.boot.options(concurrency_group="faults").remote(order)

    def _contacts(self) -> dict[int, Contact]:
        return {worker.number: self._contact(worker) for worker in self.workers if worker.where is not None}

    def _contact(self, worker: RemoteWorker) -> Contact:
        assert worker.where is not None
        return worker_name(worker.number, worker.incarnation), worker.where.address, worker.actor

    # Actions of faults.

    def crash(self, node: NodeId, cause: int, fate: Callable[[], CommitFate]) -> CommitFate | None:
        """Crashes a node that is up. If it has a process to itself, SIGKILLs it and starts a replacement at once.

        Returns the fate of the commit in flight; None if there was none, or if it will be reported through
        `on_crash_outcome`.
        """
        worker = self.launch.worker_of[node]
        if worker.emulates_crashes:
            self._turn(worker, Crash(node), cause, None, fate())
            return None
        in_flight = self._kill(worker)
        self._down(worker, "fault", cause, asked=True)  # its row follows the last one of the process
        left = self._leave(worker, fate()) if in_flight else None
        self._replace(worker)
        return left

    def restart(self, node: NodeId, cause: int) -> None:
        """Starts a node that is down, on the machine that holds its storage."""
        worker = self.launch.worker_of[node]
        stood_by = node in self.standing_by
        if worker.is_booted:
            self.standing_by.discard(node)
        if worker.emulates_crashes or stood_by:
            self._turn(worker, Restart(node), cause, NOTHING_SHOWN)
            return
        if worker.state is WorkerState.DEAD:
            self._replace(worker)
        worker.wanted = cause
        self._revive(worker)

    def _turn(
        self, worker: RemoteWorker, action: Crash | Restart, cause: int, status: Status | None, fate: CommitFate = "kept"
    ) -> None:  # fmt: skip
        """Has a worker crash or restart one of its nodes; the node's status is `status` until it has done so."""
        if not worker.is_booted:
            return
        node = action.node
        worker.turns[node] = worker.turns.get(node, 0) + 1
        worker.statuses[node] = status

        def done(answer: Any) -> None:
            if isinstance(answer, str):
                self.on_crash_outcome(node, f"{node}'s commit in flight was {answer}")

        self._expect(self._apply(worker, action, cause, fate), done)

    def _apply(self, worker: RemoteWorker, action: Action, cause: int, fate: CommitFate = "kept") -> Any:
        return worker.actor.apply.options(concurrency_group="faults").remote(action, cause, fate)

    def pause(self, worker: RemoteWorker, *, paused: bool) -> None:
        """Sends SIGSTOP or SIGCONT to the process of a worker that is up."""
        assert worker.where is not None
        self.machine(worker).signal(worker.where.pid, "stop" if paused else "continue")
        worker.pause() if paused else worker.resume()

    def damage(self, node: NodeId) -> str:
        """Damages the storage of a node that is down. Returns the error that its restart will meet; "" if there is
        nothing to damage."""
        worker = self.launch.worker_of[node]
        machine = self.machine(worker)
        path = database_of(machine.folder, worker.endpoints)
        return machine.damage(path, worker.acknowledged if worker.acknowledged is not None else 1 << 62)

    def _kill(self, worker: RemoteWorker) -> bool:
        """Kills the process of a worker. Returns whether a commit was in flight; `worker.acknowledged` is then the last
        one before it."""
        assert worker.where is not None
        worker.state = WorkerState.DEAD
        machine = self.machine(worker)
        begun, acknowledged = machine.end(worker.where.pid, database_of(machine.folder, worker.endpoints))
        worker.acknowledged = acknowledged if begun > acknowledged else None
        worker.torn = False
        return begun > acknowledged

    def _leave(self, worker: RemoteWorker, fate: CommitFate) -> CommitFate:
        """Applies `fate` to the commit in flight of a killed process; returns its actual fate."""
        assert worker.acknowledged is not None
        machine = self.machine(worker)
        left = machine.leave(database_of(machine.folder, worker.endpoints), worker.acknowledged + 1, fate)
        if left != "lost":
            worker.acknowledged = None  # all commits count; recovery finds a torn one by itself
        worker.torn = left == "torn"
        return left

    # Crash and replacement.

    def _down(self, worker: RemoteWorker, why: str, cause: int, *, asked: bool = False) -> None:
        self._retire(worker)
        for node in worker.endpoints:
            now = self.now()
            self.crashes.append(NodeCrash(node, now, why, asked=asked))
            self._row(EventKind.CRASH, now, cause, node, payload=why.encode())

    def _retire(self, worker: RemoteWorker) -> None:
        """Adds the counts of the ending incarnation to the totals, and resets the worker's own."""
        self._ended_tallies.append(worker.tally)
        self._touched_counts = added(self._touched_counts, worker.touched_counts)
        worker.tally, worker.touched_counts, worker.met, worker.statuses, worker.turns = Tally(), {}, {}, {}, {}

    def _crashed(self, crash: NodeCrash) -> None:
        if crash not in self.crashes:
            self.crashes.append(crash)

    def _replace(self, worker: RemoteWorker) -> None:
        """Starts the next incarnation's process; it boots once it is `wanted`."""
        worker.incarnation += 1
        worker.wanted = None
        self._spawn(worker)

        def arrived(answer: Any) -> None:
            if isinstance(answer, WorkerAddress):
                worker.where, worker.state = answer, WorkerState.READY
                self._revive(worker)
            elif not self._ending:
                worker.state = WorkerState.DEAD
                self.failure = self.failure or f"{worker.endpoints[0]} could not be started again"

        self._expect(worker.actor.listen.remote(self.launch.listen_host()), arrived)

    def _revive(self, worker: RemoteWorker) -> None:
        """Boots the next incarnation once its process is ready and it is wanted; sends its address to the others."""
        if worker.state is not WorkerState.READY or worker.wanted is None:
            return
        cause, worker.wanted, worker.state = worker.wanted, None, WorkerState.CONNECTING
        contact = {worker.number: self._contact(worker)}
        for other in self.workers:
            if other.is_up and other is not worker:
                other.actor.learn.remote(contact)
        handle = worker.actor

        def connected(_: Any) -> None:
            if worker.actor is handle and worker.is_up:  # otherwise it died before it could boot
                self._expect(self._boot_call(worker, cause), booted)

        def booted(answer: Any) -> None:
            if isinstance(answer, Booted):
                if answer.cut and worker.torn:
                    self.on_crash_outcome(worker.endpoints[0], TORN_COMMIT_CUT)
                if answer.refused:
                    self._refused(worker, answer.refused)
            if worker.actor is handle and worker.is_up:
                worker.booted()
                self._report(worker)

        self._expect(handle.learn.remote(self._contacts()), connected)

    def _refused(self, worker: RemoteWorker, why: str) -> None:
        """Handles storage that cannot be read. If no fault damaged it, the run fails."""
        if not self.faults_in_force.damaged(worker.endpoints):
            self.failure = self.failure or why
            return
        self._retire(worker)
        worker.state = WorkerState.REFUSED
        for node in worker.endpoints:
            self._crashed(NodeCrash(node, self.now(), f"storage damaged: {why}", asked=True, storage=True))
            self.lost.add(node)
            self.on_disk_fault_met(node)

    def _ended(self, worker: RemoteWorker, incarnation: int, answer: Any) -> None:
        """Handles the end of a worker's watch: the worker failed, or its process is gone."""
        if self._ending or worker.incarnation != incarnation or worker.state is WorkerState.DEAD:
            return
        if isinstance(answer, str):
            self.failure = self.failure or answer
            return
        if isinstance(answer, NodeFailed):
            self._on_node_failed(worker, answer)
            return
        if not worker.is_up:
            self.failure = self.failure or f"{worker.endpoints[0]}: its process died before it was up"
            return
        why = "killed unasked (its process is gone)"
        if worker.serves_clients:
            self.failure = self.failure or f"the process of the clients {worker.endpoints[0]}… was {why}"
            return
        worker.state = WorkerState.DEAD
        self._down(worker, why, -1)
        if self.experiment.engine_config.storage == "memory":
            self.failure = self.failure or f"{worker.endpoints[0]} was {why} and its storage went with it"
            return
        self._replace(worker)
        cause = -1
        for node in worker.endpoints:
            cause = self._row(EventKind.RESTART, self.now(), -1, node)
        worker.wanted = cause

    def _on_node_failed(self, worker: RemoteWorker, failed: NodeFailed) -> None:
        """Handles a node that stopped because of its storage. Kills a process that hosts no other node. Only a restart
        brings the node back."""
        self._note_report(worker, failed.report)
        self._crashed(failed.crash)
        if failed.crash.asked:
            self.faults_in_force.on_storage_failed(failed.crash.node)
        if len(worker.endpoints) > 1:
            self._watch(worker)
            return
        self._retire(worker)
        self._kill(worker)
        if self.experiment.faults:
            self._replace(worker)

    # Reports.

    def _report(self, worker: RemoteWorker) -> None:
        worker.reporting = True
        handle = worker.actor
        worker.next_report = time.monotonic() + (CLIENT_REPORT_S if worker.serves_clients else NODE_REPORT_S)

        def came(answer: Any) -> None:
            if worker.actor is handle:
                worker.reporting = False
                if isinstance(answer, WorkerReport) and worker.is_up:
                    self._note_report(worker, answer)

        self._expect(handle.report.remote(), came)

    def _note_report(self, worker: RemoteWorker, report: WorkerReport) -> None:
        """Records a worker's report."""
        worker.tally, worker.touched_counts = report.tally, report.touched_counts
        worker.finished, worker.is_final = report.finished, report.is_final
        asked = {node: worker.statuses.get(node) for node, turns in worker.turns.items() if report.turns[node] < turns}
        worker.statuses = {**report.statuses, **asked}  # a report from before a crash order is out of date
        for node, count in report.met.items():
            for _ in range(count - worker.met.get(node, 0)):
                self.on_disk_fault_met(node)
        worker.met = report.met
        if report.statuses:
            self.lost.update(node for node in worker.endpoints if node not in worker.statuses)

    # Start.

    def start(self, show: Callable[[str], None]) -> None:
        """Brings every worker up, connects them and starts the run. Calls `show` with the name of each stage.

        Raises ConfigError, which names the stage, if a stage fails or `engine.start_timeout` is over, and PluginFailed
        if a plugin raises in one.
        """
        deadline = time.monotonic() + int(self.experiment.engine_config.start_timeout) / SECOND
        workers, experiment = self.workers, self.experiment
        show(f"placing {len(self.launch.servers)} node actors")
        self.launch.reserve()
        show(stage := f"starting {len(workers)} actors")
        for worker in workers:
            self._spawn(worker)
        listening = [worker.actor.listen.remote(self.launch.listen_host()) for worker in workers]
        for worker, where in zip(workers, self._all(stage, workers, listening, deadline), strict=True):
            worker.where, worker.state = where, WorkerState.READY
        show(stage := f"connecting {len(workers)} actors")
        contacts = self._contacts()
        self._all(stage, workers, [worker.actor.connect.remote(contacts) for worker in workers], deadline)
        self.zero = time.monotonic_ns()
        self.epoch = time.time_ns()
        show(stage := f"booting {len(experiment.nodes)} nodes and {len(experiment.clients)} clients")
        for group in (self.launch.servers, self.launch.client_workers):
            for booted in self._all(stage, group, [self._boot_call(worker, -1) for worker in group], deadline):
                self.failure = self.failure or booted.refused
        self._has_started = True
        for worker in workers:
            worker.booted()
            self._report(worker)

    def _all(self, stage: str, workers: Sequence[RemoteWorker], calls: list[Any], deadline: float) -> list[Any]:
        """Returns the answers of `workers` to `calls`. Raises ConfigError at the deadline or for a lost call, and a
        worker's own SynodError."""
        import ray

        left = max(0.1, deadline - time.monotonic())
        try:
            return list(ray.get(calls, timeout=left))
        except ray.exceptions.GetTimeoutError as error:
            answered, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
            silent = [worker.endpoints[0] for worker, call in zip(workers, calls, strict=True) if call not in answered]
            timeout = self.experiment.engine_config.start_timeout
            what = f"gave up {stage}: {_shortened(silent)} did not answer within {timeout}"
            if why := last_words():
                raise ConfigError("engine=ray", f"{what}; Ray's processes died at their start ({why})") from error
            raise ConfigError("engine.start_timeout", what, "Give them longer, or start fewer.") from error
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, SynodError):
                raise cause from error
            last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise ConfigError("engine=ray", f"{stage} failed ({last.strip()[:300]})") from error

    # While it runs.

    def wait(self, seconds: float) -> None:
        """Handles the answers that arrive within `seconds`; returns as soon as one has."""
        import ray

        deadline = time.monotonic() + seconds
        ready, _ = ray.wait(list(self._due), num_returns=1, timeout=max(0.0, seconds))
        if not ready and not self._due:
            time.sleep(max(0.0, deadline - time.monotonic()))
        for answer in ready:
            act = self._due.pop(answer)
            try:
                value = ray.get(answer)
            except ray.exceptions.RayError as error:
                value = error
            act(value)
        for worker in self.workers:
            if worker.is_up and not worker.reporting and time.monotonic() >= worker.next_report:
                self._report(worker)

    def tally(self) -> Tally:
        """Returns the sum of all workers' counts so far."""
        return Tally.sum([*self._ended_tallies, *(worker.tally for worker in self.workers)])

    def touched_counts(self) -> dict[int, tuple[int, int]]:
        """Returns, by impairment, the number of messages that passed it and the number that it touched."""
        whole = self._touched_counts
        for worker in self.workers:
            whole = added(whole, worker.touched_counts)
        return whole

    @property
    def load_finished(self) -> bool:
        """True if no client has an operation under way, and none will start."""
        return all(worker.finished for worker in self.launch.client_workers)

    def begin_final(self) -> None:
        """Has the clients begin the final phase of the workload."""
        for worker in self.launch.client_workers:
            if worker.is_up:
                self._expect(worker.actor.begin_final.remote(), lambda answer: None)

    @property
    def final_finished(self) -> bool:
        """True if the clients have completed the final phase."""
        return all(worker.is_final and worker.finished for worker in self.launch.client_workers if worker.is_up)

    def statuses(self) -> dict[NodeId, Status | None]:
        """Returns the present status of each node; None for one that is down.

        A node that is paused, or does not answer in time, keeps its last status.
        """
        self._ask_statuses(self.launch.servers)
        return {node: self._status(node) for node in self.experiment.nodes if node not in self.standing_by}

    def other_statuses(self) -> dict[NodeId, Status | None]:
        """Returns the present status of each client and of the workload's service, like `statuses`, which has asked the
        service already."""
        self._ask_statuses(self.launch.client_workers)
        return {node: self._status(node) for node in self.experiment.others}

    def _ask_statuses(self, workers: Sequence[RemoteWorker]) -> None:
        import ray

        asked = [worker for worker in workers if worker.is_up and not worker.is_paused]
        calls = {worker.actor.report.remote(): worker for worker in asked}
        ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=STATUS_S) if calls else ([], [])
        for call in ready:
            try:
                self._note_report(calls[call], ray.get(call))
            except ray.exceptions.RayError:  # it died just now; its watch reports that
                calls[call].statuses = {}

    @property
    def leaders(self) -> tuple[NodeId, ...]:
        """The nodes that reported last to lead. Of two, one may not have learned yet that it was deposed."""
        return tuple(node for node in self.experiment.nodes if "leader" in (self._status(node) or NOTHING_SHOWN).roles)

    def _status(self, node: NodeId) -> Status | None:
        worker = self.launch.worker_of[node]
        return worker.statuses.get(node) if worker.is_up else None

    def away(self) -> list[NodeId]:
        """Returns the nodes that should run and have not reported since their last start."""
        return [
            node
            for node in (*self.experiment.nodes, *self.experiment.others)
            if node not in self.standing_by
            and node not in self.lost
            and not self.faults_in_force.damaged((node,))
            and self._status(node) is None
        ]

    def aftermath(self) -> Aftermath:
        """Returns the state of the servers, and the operations that are open."""
        statuses = self.statuses()
        down = [node for node, status in statuses.items() if status is None]
        running = tuple(node for node in statuses if node not in down)
        workers = {self.launch.worker_of[node].number: self.launch.worker_of[node] for node in running}
        answers = self._asked([worker.actor.can_serve.remote(running) for worker in workers.values()])
        said = agreed(answers) if len(answers) == len(workers) else None
        parts = self._asked([worker.actor.open_operations.remote() for worker in self.launch.client_workers])
        waiting = sorted((one for some, _ in parts for one in some), key=lambda one: one.since)
        damaged = frozenset(node for node in down if self.faults_in_force.damaged((node,)))
        return Aftermath(
            statuses=statuses,
            for_good=damaged.union(self.lost.intersection(down)),
            damaged=damaged,
            can_serve=said,
            waiting=tuple(waiting[:OLDEST]),
            open=sum(count for _, count in parts),
        )

    def _asked(self, calls: list[Any]) -> list[Any]:
        """Returns the answers that arrive within `STATUS_S`."""
        import ray

        ready, _ = ray.wait(calls, num_returns=len(calls), timeout=STATUS_S) if calls else ([], [])
        answers = (self._answer(call) for call in ready)
        return [answer for answer in answers if answer is not _DIED]

    def _answer(self, call: Any) -> Any:
        """Returns the answer of a finished call; _DIED if its process died. An exception raised there ends the run."""
        import ray

        try:
            return ray.get(call)
        except ray.exceptions.RayTaskError as error:
            self.failure = self.failure or error_line(error.cause or error)
        except ray.exceptions.RayError:
            pass  # it died just now; its watch reports that
        return _DIED

    def replica_states(self, *, whole: bool) -> dict[NodeId, dict[str, ReplicaState] | None]:
        """Returns the state of each replica; None for one that does not answer in time. A node that is down or keeps no
        copy is absent."""
        import ray

        asked = [worker for worker in self.launch.servers if worker.is_up or worker.wanted is not None]
        found: dict[NodeId, dict[str, ReplicaState] | None] = {
            node: None for worker in asked for node in worker.endpoints if node not in self.lost
        }
        calls = {worker.actor.replica_states.remote(whole): worker for worker in asked if worker.is_up}
        limit = SNAPSHOT_S if whole else STATUS_S
        ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=limit) if calls else ([], [])
        for call in ready:
            answer = self._answer(call)
            if answer is _DIED:
                continue
            for node in calls[call].endpoints:
                found.pop(node, None)
            found.update(answer)
        return {node: found[node] for node in self.experiment.nodes if node in found and node not in self.standing_by}

    def node_copies(self) -> dict[NodeId, Any]:
        """Returns copies of the nodes that run and answer in time; they have their attributes but cannot act."""
        import ray

        calls = {worker.actor.node_copies.remote(): worker for worker in self.launch.servers if worker.is_up}
        ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=SNAPSHOT_S) if calls else ([], [])
        answers = (self._answer(call) for call in ready)
        return {node: pickle.loads(data) for answer in answers if answer is not _DIED for node, data in answer.items()}

    def healed(self, at: int) -> None:
        """Notifies the clients that the faults are over."""
        for worker in self.launch.client_workers:
            worker.actor.healed.options(concurrency_group="faults").remote(at)

    # End.

    def finish(self) -> None:
        """Has every worker close its files, collects the reports, and fetches trace files from other machines."""
        import ray

        self._ending = True
        calls = {}
        for worker in self.workers:
            if worker.where is not None:
                self.machine(worker).signal(worker.where.pid, "continue")
            if worker.is_up and self._has_started:
                calls[worker.actor.finish.remote()] = worker
        ready, late = ray.wait(list(calls), num_returns=len(calls), timeout=FINISH_S) if calls else ([], [])
        for call in ready:
            try:
                report = ray.get(call)
            except ray.exceptions.RayError as error:
                who = calls[call].endpoints[0]
                self.failure = self.failure or f"{who} did not close its files ({type(error).__name__})"
                continue
            self._reported(calls[call], report)
        if late:
            self.failure = (
                self.failure or f"{calls[late[0]].endpoints[0]} did not close its files within {FINISH_S:g} s"
            )
        self._fetch()

    def _reported(self, worker: RemoteWorker, report: FinalReport) -> None:
        self._note_report(worker, report.last)
        self.rejected += report.rejected
        for crash in report.crashes:
            self._crashed(crash)

    def _fetch(self) -> None:
        for name, machine in self.launch.machines.items():
            if name != self.launch.runtime.machine:
                for file, content in machine.files("trace"):
                    target = self.experiment.run_dir / "trace" / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)

    def kill(self) -> None:
        """Ends every process of the run, stopped ones too, and removes the durable state."""
        import ray

        self._ending = True
        for machine in self.launch.machines.values():
            here = [worker for worker in self.workers if self.machine(worker) is machine]
            machine.kill([worker.where.pid for worker in here if worker.where is not None])
        for worker in self.workers:
            if worker.actor is not None:
                ray.kill(worker.actor, no_restart=True)
        self.launch.release()


def added(one: Mapping[int, tuple[int, int]], other: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Returns the sum of two workers' counts by impairment."""
    both = {token: (one.get(token, (0, 0)), other.get(token, (0, 0))) for token in (*one, *other)}
    return {token: (a[0] + b[0], a[1] + b[1]) for token, (a, b) in both.items()}


def _shortened(names: Sequence[str]) -> str:
    """Returns a list of names as in `n1 n2 n3 and 4 more`."""
    return " ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
