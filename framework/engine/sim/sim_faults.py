"""The actions of faults on a simulated run."""

from __future__ import annotations

from typing import Protocol

import msgspec

from framework.core.clock import Clock
from framework.core.message import NodeId
from framework.core.node_runtime import NodeRuntime
from framework.core.time import NEVER
from framework.engine.base import Experiment
from framework.engine.shared.client_driver import ClientDriver
from framework.engine.shared.fault_executor import FaultExecutor
from framework.engine.shared.node_life import GONE, NodeLife, NodeState, RecordingPorts
from framework.engine.sim.sim_node import SimNode
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
from framework.faults.commit_fate import CommitFate
from framework.faults.disk_faults import FaultyStorage
from framework.faults.injector import Sight
from framework.faults.link_faults import LinkFaults
from framework.trace.schema import EventKind


class SimulatedRun(RecordingPorts, Protocol):
    """A simulation as faults use it."""

    experiment: Experiment
    nodes: dict[NodeId, SimNode]
    life: NodeLife
    link_faults: LinkFaults
    clients: ClientDriver
    faults: FaultExecutor

    def crash(self, node: SimNode, why: str, cause: int = -1) -> CommitFate | None: ...
    def restart(self, node: SimNode, cause: int = -1) -> None: ...
    def pause(self, node: SimNode) -> None: ...
    def resume(self, node: SimNode) -> None: ...
    def rearm(self, node: SimNode, runtime: NodeRuntime) -> None: ...


class SimFaults:
    """Carries out actions on a simulation."""

    def __init__(self, run: SimulatedRun) -> None:
        self._run, self._nodes = run, run.nodes

    def look(self) -> Sight:
        """Returns the nodes as faults see them."""
        run, experiment = self._run, self._run.experiment
        started = [name for name in experiment.nodes if self._nodes[name].state is not NodeState.STANDBY]
        return Sight(
            {name: run.life.status(self._nodes[name]) for name in started},
            frozenset(name for name, node in self._nodes.items() if node.is_paused),
            frozenset(name for name, node in self._nodes.items() if node.state in GONE or node.is_damaged),
            tuple(name for name in experiment.nodes if name not in started),
            {name: run.life.status(self._nodes[name]) for name in experiment.others},
        )

    def is_up(self, node: NodeId) -> bool:
        return self._nodes[node].runtime is not None

    def is_paused(self, node: NodeId) -> bool:
        return self._nodes[node].is_paused

    def change_links(self, action: ImpairLinks | RestoreLinks) -> None:
        self._record(action, None)
        if isinstance(action, ImpairLinks):
            self._run.link_faults.impair(action.token, action.links, action.impairment)
        else:
            self._run.link_faults.restore(action.token)

    def administer(self, action: RunAdminOperation) -> None:
        self._run.clients.administer(action, self._record(action, None))

    def crash(self, action: Crash) -> bool:
        node = self._nodes[action.node]
        fate = self._run.crash(node, "fault", self._record(action, node))
        if fate:
            self._run.faults.injector.remark(f"{node.id}'s commit in flight was {fate}")
        return True

    def restart(self, action: Restart) -> bool:
        node = self._nodes[action.node]
        if node.state in GONE:
            return False
        self._run.restart(node, self._record(action, node))
        return True

    def pause(self, action: Pause) -> bool:
        node = self._nodes[action.node]
        self._record(action, node)
        self._run.pause(node)
        return True

    def resume(self, action: Resume) -> bool:
        node = self._nodes[action.node]
        self._record(action, node)
        self._run.resume(node)
        return True

    def set_clock(self, action: SetClock) -> bool:
        node = self._nodes[action.node]
        self._record(action, node)
        if node.clock is None:
            node.clock = Clock()
        node.clock.set(self._run.now(), action.drift_ppm, action.step)
        if node.runtime is not None:
            node.wake_at = NEVER  # the wake-up in the heap was computed with the old drift
            self._run.rearm(node, node.runtime)
        return True

    def set_disk(self, action: SetDisk) -> bool:
        node = self._nodes[action.node]
        if node.client >= 0:  # a client has no disk
            return False
        self._record(action, node)
        if node.is_damaged:
            return True  # damage cannot be repaired
        healthy = node.storage.storage if isinstance(node.storage, FaultyStorage) else node.storage
        fails = action.trouble in ("failed_fsync", "full", "damage")
        node.storage = FaultyStorage(healthy, action.trouble) if fails else healthy
        node.disk_delay = action.latency if action.trouble == "slow" else 0
        node.update_waits()
        return True

    def _record(self, action: Action, node: SimNode | None) -> int:
        payload = msgspec.json.encode(msgspec.structs.asdict(action))
        return self._run.record(EventKind.FAULT, self._run.now(), -1, node, name=action_name(action), payload=payload)
