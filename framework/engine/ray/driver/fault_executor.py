"""Carries out the faults of an experiment on Ray: signals to processes, and what their workers do to themselves."""

from __future__ import annotations

import msgspec

from framework.core.message import NodeId
from framework.core.random_streams import stream
from framework.engine.base import Experiment
from framework.engine.ray.driver.faults_in_force import leaving
from framework.engine.ray.driver.remote_worker import RemoteWorker
from framework.engine.ray.driver.supervisor import Supervisor
from framework.faults.actions import (
    Action,
    Ask,
    Calm,
    Crash,
    Disturb,
    Pause,
    Restart,
    Resume,
    SetClock,
    SetDisk,
    action_name,
    commit_fate,
)
from framework.faults.injector import Injector, Sight
from framework.faults.ledger import LedgerEntry
from framework.replication.administration import ADMINISTRATOR
from framework.trace.schema import EventKind, as_json


class RayFaultExecutor:
    """Drives an `Injector` by the run's time and does what it says."""

    def __init__(self, experiment: Experiment, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._order = {node: index for index, node in enumerate(experiment.endpoints)}
        self._nodes, self._duration = experiment.nodes, experiment.duration
        self.healed_at: int | None = None  # when the faults had ended, and all nodes that can were back
        self._returning = False  # whether some are yet to come back
        self._fate = stream(experiment.seed, "disk")
        self._still: set[NodeId] = set()  # told to stand still in the strike under way, and their process goes on yet
        self._injector = Injector(
            experiment.make_faults(),
            experiment.clients,
            quiet_at=experiment.duration - experiment.quiet,
            stream=lambda name: stream(experiment.seed, "fault", name),
            do=self._do,
            watches_disks=True,
        )
        supervisor.met, supervisor.came = self._injector.met, self._injector.came

    @property
    def next_at(self) -> int:
        """When there is something to do."""
        return self._injector.next_at

    @property
    def fired(self) -> dict[str, int]:
        return {name: entry.fired for name, entry in self._injector.entries.items()}

    def carry_out_due(self) -> None:
        """Does all that is due now."""
        now = self._supervisor.now()
        if self.next_at <= now:
            self._injector.due(now, self._look)
            self._refuse_half_pauses()
        if self.healed_at is None and self._injector.healed_at is not None:
            self._healed(self._injector.healed_at)
        elif self._returning and now < self._duration and not self._supervisor.away():
            self._healed(now)

    def _healed(self, at: int) -> None:
        """The faults have ended. What counts anew once all nodes are back: a new process takes its time to start."""
        self.healed_at = at
        self._returning = bool(self._supervisor.away())
        self._supervisor.healed(at)

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """What each fault did; to be asked once, when every worker has reported."""
        self._injector.count_touched(self._supervisor.touched_counts())
        self._injector.count_administered(self._supervisor.tally().administered)
        return tuple(self._injector.entries.values())

    def _look(self) -> Sight:
        self._refuse_half_pauses()
        statuses = self._supervisor.statuses()
        workers = self._supervisor.launch.worker_of
        stopped = frozenset(node for node in self._nodes if workers[node].paused)
        lost = frozenset(
            node
            for node in self._nodes
            if node in self._supervisor.lost or self._supervisor.conditions.damaged((node,))
        )
        spares = tuple(node for node in self._nodes if node in self._supervisor.standing_by)
        return Sight(statuses, stopped, lost, spares)

    def _do(self, action: Action) -> bool:
        """Carries out `action`; False if it makes no difference: a node that is down already, or gone for good."""
        if isinstance(action, Disturb | Calm):
            self._change_links(action)
            return True
        if isinstance(action, Ask):
            self._supervisor.tell(self._supervisor.launch.worker_of[ADMINISTRATOR], action, self._record(action, None))
            return True
        worker = self._supervisor.launch.worker_of[action.node]
        match action:
            case Crash():
                return self._supervisor.is_up(action.node) and self._crash(action, worker)
            case Restart():
                return not self._supervisor.is_up(action.node) and self._restart(action)
            case Pause():
                return self._supervisor.is_up(action.node) and not worker.paused and self._pause(action, worker)
            case Resume():
                return worker.paused and self._resume(action, worker)
            case SetClock():
                return self._set_clock(action, worker)
            case SetDisk():
                return self._set_disk(action, worker)

    def _change_links(self, action: Disturb | Calm) -> None:
        self._record(action, None)
        self._supervisor.conditions.note(action, self._supervisor.now())
        for worker in self._supervisor.workers:
            told = action if isinstance(action, Calm) else leaving(action, worker.endpoints)
            if told is not None:
                self._supervisor.tell(worker, told)

    def _crash(self, action: Crash, worker: RemoteWorker) -> bool:
        if len(worker.endpoints) > 1:
            self._injector.emulates()
        fate = self._supervisor.crash(action.node, self._record(action, action.node), lambda: commit_fate(self._fate))
        if fate is not None:
            self._injector.remark(f"{action.node}'s commit in flight was {fate}")
        return True

    def _restart(self, action: Restart) -> bool:
        worker = self._supervisor.launch.worker_of[action.node]
        if action.node in self._supervisor.lost or worker.wanted is not None:
            return False
        cause, rows = self._record(action, action.node), self._supervisor.rows
        if rows is not None:
            cause = rows.row(EventKind.RESTART, self._supervisor.now(), cause, self._order[action.node])
        self._supervisor.restart(action.node, cause)
        return True

    def _pause(self, action: Pause, worker: RemoteWorker) -> bool:
        """Stops the process once all its nodes that are up are to stand still."""
        self._still.add(action.node)
        if any(self._supervisor.is_up(node) and node not in self._still for node in worker.endpoints):
            return False
        for node in worker.endpoints:
            if node in self._still:
                self._still.discard(node)
                self._record(Pause(node), node)
        self._supervisor.pause(worker, paused=True)
        return True

    def _refuse_half_pauses(self) -> None:
        if self._still:
            node = min(self._still)
            endpoints = self._supervisor.launch.worker_of[node].endpoints
            others = " ".join(other for other in endpoints if other not in self._still)
            self._supervisor.failure = self._supervisor.failure or (
                f"engine.nodes_per_actor: a pause of {' '.join(sorted(self._still))} would stop {others} as well, in the same"
                " process. Use engine.nodes_per_actor=1, or pause them all"
            )

    def _resume(self, action: Resume, worker: RemoteWorker) -> bool:
        for node in worker.endpoints:
            self._record(Resume(node), node)
        self._supervisor.pause(worker, paused=False)
        return True

    def _set_clock(self, action: SetClock, worker: RemoteWorker) -> bool:
        if not worker.up:
            self._record(action, action.node)  # else its worker does, in the very moment
        self._supervisor.conditions.note(action, self._supervisor.now())
        self._supervisor.tell(worker, action)
        return True

    def _set_disk(self, action: SetDisk, worker: RemoteWorker) -> bool:
        supervisor = self._supervisor
        alone = len(worker.endpoints) == 1
        if (
            action.trouble == "damage"
            and alone
            and (supervisor.is_up(action.node) or not supervisor.damage(action.node))
        ):
            return False
        self._record(action, action.node)
        supervisor.conditions.note(action, supervisor.now())
        if not (action.trouble == "damage" and alone):
            supervisor.tell(worker, action)
        return True

    def _record(self, action: Action, node: NodeId | None) -> int:
        """Logs the fault to the trace before executing it (write-ahead)."""
        rows = self._supervisor.rows
        if rows is None:
            return -1
        told = as_json(msgspec.structs.asdict(action))
        place = -1 if node is None else self._order[node]
        cause = rows.row(EventKind.FAULT, self._supervisor.now(), -1, place, name=action_name(action), payload=told)
        rows.write_through()
        return cause
