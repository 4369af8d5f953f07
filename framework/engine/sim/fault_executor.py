"""Carries out the faults of an experiment in the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from framework.core.clock import Clock
from framework.core.errors import RAISED
from framework.core.message import NodeId
from framework.core.random_streams import stream
from framework.core.time import NEVER
from framework.engine.base import OLDEST, Aftermath, Waiting
from framework.faults.actions import (
    TORN_COMMIT_CUT,
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
)
from framework.faults.disk_faults import FaultyStorage
from framework.faults.fault import Status
from framework.faults.injector import Injector, Sight
from framework.faults.ledger import LedgerEntry
from framework.replication.administration import ADMINISTRATOR
from framework.trace.schema import NO_NAME, EventKind

if TYPE_CHECKING:
    from framework.engine.sim.sim_node import SimNode
    from framework.engine.sim.simulation import Simulation


class SimFaultExecutor:
    """Drives an `Injector` by virtual time and does what it says."""

    def __init__(self, run: Simulation) -> None:
        experiment = run.experiment
        self._run = run
        self._servers = {node: run.hosted_nodes[node] for node in experiment.nodes}
        self._injector = Injector(
            experiment.make_faults(),
            experiment.clients,
            quiet_at=experiment.duration - experiment.quiet,
            stream=lambda name: stream(experiment.seed, "fault", name),
            do=self._do,
            watches_disks=True,
        )
        self.met = self._injector.met
        self._at = NEVER

    def cut(self, node: NodeId) -> None:
        """A node that restarts has found a commit that its crash had left half written."""
        self._injector.came(node, TORN_COMMIT_CUT)

    def schedule(self) -> None:
        at = self._injector.next_at
        if at < self._at:
            self._at = at
            self._run.call_at(max(at, self._run.now), self._turn)

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """What each fault did; to be asked once, when the run is over."""
        touched_counts = {
            token: (count.passed, count.touched) for token, count in self._run.link_faults.touched_counts.items()
        }
        self._injector.count_touched(touched_counts)
        self._injector.count_administered(self._run.tally.administered)
        return tuple(self._injector.entries.values())

    def aftermath(self) -> Aftermath:
        """The servers, and the operations that are open."""
        run, sight = self._run, self._look()
        down = [node for node, status in sight.statuses.items() if status is None]
        waiting = sorted(
            (
                (hosted.open[1], hosted.client, hosted)
                for hosted in run.hosted_nodes.values()
                if hosted.open and hosted.id != ADMINISTRATOR
            ),
        )
        return Aftermath(
            statuses=sight.statuses,
            for_good=sight.lost.intersection(down),
            damaged=frozenset(node for node in down if _damaged(self._servers[node])),
            can_serve=run.can_serve([node for node in sight.statuses if node not in down]),
            waiting=tuple(self._waiting(hosted) for _, _, hosted in waiting[:OLDEST]),
            open=len(waiting),
        )

    def _waiting(self, hosted: SimNode) -> Waiting:
        assert hosted.open is not None
        assignment, since = hosted.open
        return Waiting(
            hosted.id, assignment.operation.function, assignment.operation.key, since, self._run.awaited_nodes(hosted)
        )

    def _turn(self) -> None:
        run = self._run
        if run.now < self._at:
            return
        self._at = NEVER
        self._injector.due(run.now, self._look)
        run.tally.faults = {name: entry.fired for name, entry in self._injector.entries.items()}
        run.tally.healed_at = self._injector.healed_at
        self.schedule()

    def _look(self) -> Sight:
        statuses = {node: self._status(hosted) for node, hosted in self._servers.items() if not hosted.stands_by}
        stopped = frozenset(node for node, hosted in self._servers.items() if hosted.paused)
        lost = frozenset(
            node for node, hosted in self._servers.items() if hosted.lost or hosted.raised or _damaged(hosted)
        )
        spares = tuple(node for node, hosted in self._servers.items() if hosted.stands_by)
        return Sight(statuses, stopped, lost, spares)

    def _status(self, hosted: SimNode) -> Status | None:
        """What a node reports; None if it is down, or goes down because its `status` raises."""
        try:
            return None if hosted.runtime is None else hosted.runtime.root.status
        except RAISED as error:
            self._run.raised(hosted, error)
            return None

    def _do(self, action: Action) -> bool:
        """Carries out `action`; False if it makes no difference: a node that is down already, or gone for good."""
        run = self._run
        match action:
            case Disturb():
                cause = self._record(action, None)
                run.link_faults.disturb(action.token, action.links, action.disturbance)
                return True
            case Calm():
                cause = self._record(action, None)
                run.link_faults.calm(action.token)
                return True
            case Ask():
                run.administer(action, self._record(action, None))
                return True
            case _:
                hosted = self._servers[action.node]
        if not _applies(action, hosted):
            return False
        cause = self._record(action, hosted)
        match action:
            case Crash():
                fate = run.crash(hosted.id, "fault", cause)
                if fate:
                    self._injector.remark(f"{hosted.id}'s commit in flight was {fate}")
            case Restart():
                run.restart(hosted.id, cause)
            case Pause():
                run.pause(hosted.id)
            case Resume():
                run.resume(hosted.id)
            case SetClock():
                self._set_clock(hosted, action)
            case SetDisk():
                self._set_disk(hosted, action)
        return True

    def _set_clock(self, hosted: SimNode, action: SetClock) -> None:
        if hosted.clock is None:
            hosted.clock = Clock()
        hosted.clock.set(self._run.now, action.drift_ppm, action.step)
        if hosted.runtime is not None:
            hosted.wake_at = NEVER  # the wake-up that stands in the heap was reckoned with the old drift
            self._run.rearm(hosted, hosted.runtime)

    def _set_disk(self, hosted: SimNode, action: SetDisk) -> None:
        healthy = hosted.storage.storage if isinstance(hosted.storage, FaultyStorage) else hosted.storage
        troubled = action.trouble in ("failed_fsync", "full", "damage")
        if _damaged(hosted):
            return  # nothing mends what is damaged
        hosted.storage = FaultyStorage(healthy, action.trouble) if troubled else healthy
        hosted.slower = action.latency if action.trouble == "slow" else 0
        hosted.slow = hosted.slow_by_nature or hosted.slower > 0 or hosted.paused or hosted.busy

    def _record(self, action: Action, hosted: SimNode | None) -> int:
        run = self._run
        run.seq = cause = run.seq + 1
        name = run.recording.names.index(action_name(action))
        node = NO_NAME if hosted is None else hosted.index
        run.recording.row(
            EventKind.FAULT,
            run.now,
            cause,
            -1,
            node,
            message=name,
            payload=msgspec.json.encode(msgspec.structs.asdict(action)),
        )
        return cause


def _damaged(hosted: SimNode) -> bool:
    return isinstance(hosted.storage, FaultyStorage) and hosted.storage.trouble == "damage"


def _applies(action: Action, hosted: SimNode) -> bool:
    up = hosted.runtime is not None
    match action:
        case Crash():
            return up
        case Restart():
            return not up and not (hosted.lost or hosted.raised)
        case Pause():
            return up and not hosted.paused
        case Resume():
            return up and hosted.paused
        case _:
            return True
