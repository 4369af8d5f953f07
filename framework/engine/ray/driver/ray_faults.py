"""The actions of faults on a Ray run: signals to processes, and actions that workers carry out on themselves."""

from __future__ import annotations

import msgspec

from framework.core.message import NodeId
from framework.core.random_streams import stream
from framework.engine.base import Experiment
from framework.engine.ray.driver.faults_in_force import leaving
from framework.engine.ray.driver.supervisor import Supervisor
from framework.engine.shared.fault_executor import FaultExecutor
from framework.faults.actions import (
    Action,
    Crash,
    ImpairLinks,
    Pause,
    Restart,
    RestoreLinks,
    Resume,
    RunAdminOperation,
    SetClock,
    SetDisk,
    action_name,
)
from framework.faults.commit_fate import commit_fate
from framework.faults.injector import Sight
from framework.faults.ledger import LedgerEntry
from framework.replication.administration import ADMINISTRATOR
from framework.trace.schema import EventKind, as_json


class RayFaults:
    """The faults of a run on Ray."""

    def __init__(self, experiment: Experiment, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._order = {node: index for index, node in enumerate(experiment.endpoints)}
        self._experiment = experiment
        self._nodes, self._duration = (*experiment.nodes, *experiment.others), experiment.duration
        self.healed_at: int | None = None  # when the faults had ended and all nodes that can return were back
        self._returning = False  # whether some nodes have yet to come back
        self._fate = stream(experiment.seed, "disk")
        self._still: set[NodeId] = set()  # to be paused by the strike under way; their process still runs
        self._executor = FaultExecutor(experiment, self)
        self._injector = self._executor.injector
        supervisor.on_disk_fault_met = self._injector.on_disk_fault_met
        supervisor.on_crash_outcome = self._injector.on_crash_outcome

    @property
    def next_at(self) -> int:
        """The time of the next action."""
        return self._injector.next_at

    @property
    def fired(self) -> dict[str, int]:
        return self._executor.fired

    def carry_out_due(self) -> None:
        """Carries out all actions that are due now."""
        now = self._supervisor.now()
        if self.next_at <= now:
            self._executor.carry_out_due(now)
            self._refuse_half_pauses()
        if self.healed_at is None and self._injector.healed_at is not None:
            self._healed(self._injector.healed_at)
        elif self._returning and now < self._duration and not self._supervisor.away():
            self._healed(now)

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """Returns the effects of each fault. Called once, when every worker has reported."""
        return self._executor.ledger(self._supervisor.touched_counts(), self._supervisor.tally())

    def _healed(self, at: int) -> None:
        """Records the end of the faults. Called again once all nodes are back, since a new process takes time to
        start."""
        self.healed_at = at
        self._returning = bool(self._supervisor.away())
        self._supervisor.healed(at)

    # The ports.

    def look(self) -> Sight:
        """Returns the nodes as faults see them."""
        supervisor = self._supervisor
        self._refuse_half_pauses()
        statuses = supervisor.statuses()
        stopped = frozenset(node for node in self._nodes if self.is_paused(node))
        lost = frozenset(
            node for node in self._nodes if node in supervisor.lost or supervisor.faults_in_force.damaged((node,))
        )
        spares = tuple(node for node in self._experiment.nodes if node in supervisor.standing_by)
        return Sight(statuses, stopped, lost, spares, supervisor.other_statuses())

    def is_up(self, node: NodeId) -> bool:
        return self._supervisor.is_up(node)

    def is_paused(self, node: NodeId) -> bool:
        return self._supervisor.launch.worker_of[node].is_paused

    def change_links(self, action: ImpairLinks | RestoreLinks) -> None:
        self._record(action, None)
        self._supervisor.faults_in_force.note(action, self._supervisor.now())
        for worker in self._supervisor.workers:
            told = action if isinstance(action, RestoreLinks) else leaving(action, worker.endpoints)
            if told is not None:
                self._supervisor.tell(worker, told)

    def administer(self, action: RunAdminOperation) -> None:
        worker = self._supervisor.launch.worker_of[ADMINISTRATOR]
        self._supervisor.tell(worker, action, self._record(action, None))

    def crash(self, action: Crash) -> bool:
        worker = self._supervisor.launch.worker_of[action.node]
        if worker.emulates_crashes:
            self._injector.emulates()
        fate = self._supervisor.crash(action.node, self._record(action, action.node), lambda: commit_fate(self._fate))
        if fate is not None:
            self._injector.remark(f"{action.node}'s commit in flight was {fate}")
        return True

    def restart(self, action: Restart) -> bool:
        supervisor = self._supervisor
        if action.node in supervisor.lost or supervisor.launch.worker_of[action.node].wanted is not None:
            return False
        cause, rows = self._record(action, action.node), supervisor.rows
        if rows is not None:
            cause = rows.row(EventKind.RESTART, supervisor.now(), cause, self._order[action.node])
        supervisor.restart(action.node, cause)
        return True

    def pause(self, action: Pause) -> bool:
        """Stops the process once all its nodes that are up are to be paused."""
        worker = self._supervisor.launch.worker_of[action.node]
        self._still.add(action.node)
        if any(self.is_up(node) and node not in self._still for node in worker.endpoints):
            return False
        for node in worker.endpoints:
            if node in self._still:
                self._still.discard(node)
                self._record(Pause(node), node)
        self._supervisor.pause(worker, paused=True)
        return True

    def resume(self, action: Resume) -> bool:
        worker = self._supervisor.launch.worker_of[action.node]
        for node in worker.endpoints:
            self._record(Resume(node), node)
        self._supervisor.pause(worker, paused=False)
        return True

    def set_clock(self, action: SetClock) -> bool:
        worker = self._supervisor.launch.worker_of[action.node]
        if not worker.is_up:
            self._record(action, action.node)  # otherwise its worker records it, at the exact time
        self._supervisor.faults_in_force.note(action, self._supervisor.now())
        self._supervisor.tell(worker, action)
        return True

    def set_disk(self, action: SetDisk) -> bool:
        supervisor = self._supervisor
        worker = supervisor.launch.worker_of[action.node]
        if worker.serves_clients:  # a client has no disk
            return False
        damages_file = action.trouble == "damage" and len(worker.endpoints) == 1
        if damages_file and (supervisor.is_up(action.node) or not supervisor.damage(action.node)):
            return False
        self._record(action, action.node)
        supervisor.faults_in_force.note(action, supervisor.now())
        if not damages_file:
            supervisor.tell(worker, action)
        return True

    def _refuse_half_pauses(self) -> None:
        if self._still:
            node = min(self._still)
            endpoints = self._supervisor.launch.worker_of[node].endpoints
            others = " ".join(other for other in endpoints if other not in self._still)
            setting = "nodes" if node in self._experiment.servers else "clients"
            self._supervisor.failure = self._supervisor.failure or (
                f"engine.{setting}_per_actor: a pause of {' '.join(sorted(self._still))} would stop {others} as well, in the same"
                f" process. Use engine.{setting}_per_actor=1, or pause them all"
            )

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
