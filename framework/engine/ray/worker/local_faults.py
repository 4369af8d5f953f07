"""The effects of faults within a worker: on the links out of it, on its nodes' clocks and disks."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import msgspec

from framework.core.clock import Clock
from framework.core.message import NodeId
from framework.core.random_streams import stream
from framework.engine.ray.disk.database import Commit
from framework.engine.ray.worker.setup import Setup
from framework.engine.ray.worker.trace_rows import EventRows
from framework.engine.ray.worker.worker_node import WorkerNode
from framework.engine.shared.client_driver import ClientDriver
from framework.faults.actions import (
    Action,
    Crash,
    ImpairLinks,
    LinkName,
    Restart,
    RestoreLinks,
    RunAdminOperation,
    SetClock,
    SetDisk,
    action_name,
)
from framework.faults.commit_fate import CommitFate
from framework.faults.link_faults import LinkFaults
from framework.trace.schema import EventKind

ClockSetting: TypeAlias = tuple[int, int, int]
"""(time of the run, drift in ppm, step of the wall clock in nanoseconds)"""

EMULATED = "fault (emulated: the node shares its process)"


@dataclass(frozen=True, kw_only=True)
class BootOrder:
    """The driver's order to boot an incarnation of a worker.

    `zero`, `epoch`: the run's start on the machine's monotonic clock and on the wall clock. `cause`: the trace row of
    the restart. `faults`, `clocks`: the faults in force. `acknowledged`: the last commit that counts (None: all in the
    database). `standing_by`: the spares that have never run.
    """

    zero: int
    epoch: int
    cause: int = -1
    faults: tuple[Action, ...] = ()
    clocks: Mapping[NodeId, tuple[ClockSetting, ...]] = field(default_factory=dict)
    acknowledged: int | None = None
    standing_by: frozenset[NodeId] = frozenset()


class FaultyWorker(Protocol):
    """A worker as faults use it."""

    setup: Setup
    rows: EventRows | None
    clients: ClientDriver | None

    def now(self) -> int: ...
    def node(self, name: NodeId) -> WorkerNode: ...
    def wake(self, node: WorkerNode) -> None: ...
    def crash(self, name: NodeId, why: str, cause: int = -1, fate: CommitFate = "kept") -> CommitFate | None: ...
    def restart(self, name: NodeId, cause: int = -1) -> None: ...


class LocalFaults:
    """The faults of one worker. All calls are made in the thread of its loop."""

    def __init__(self, worker: FaultyWorker) -> None:
        self.link_faults = LinkFaults(self._stream)
        self.met: dict[NodeId, int] = {}  # commits that met a faulty disk, and restarts that it refused
        self._worker = worker
        self._disks: dict[NodeId, SetDisk] = {}

    def apply(self, action: Action, cause: int, fate: CommitFate = "kept") -> CommitFate | None:
        """Carries out an action on this worker. For a crash, returns the fate of the node's commit in flight; None if
        there was none."""
        worker = self._worker
        match action:
            case ImpairLinks():
                self.link_faults.impair(action.token, action.links, action.impairment)
            case RestoreLinks():
                self.link_faults.restore(action.token)
            case SetDisk():
                self._set_disk(action)
            case SetClock():
                self._set_clock(worker.node(action.node), action)
            case Crash():
                return worker.crash(action.node, EMULATED, cause, fate)
            case Restart():
                worker.restart(action.node, cause)
            case RunAdminOperation():
                assert worker.clients is not None, "the administrator is one of the clients"
                worker.clients.administer(action, cause)
            case _:
                raise AssertionError(f"{action_name(action)} is done to processes from outside")
        return None

    def set_clocks_before(self, clocks: Mapping[NodeId, tuple[ClockSetting, ...]]) -> None:
        """Applies clock settings made before this incarnation began."""
        for node, settings in clocks.items():
            self._worker.node(node).clock = clock_after(settings)

    def touched_counts(self) -> dict[int, tuple[int, int]]:
        """Returns, by impairment, the number of messages that passed it and the number that it touched."""
        return {token: (count.passed, count.touched) for token, count in self.link_faults.touched_counts.items()}

    def damaged(self, node: NodeId) -> bool:
        """Returns whether the node's storage is damaged and must not be used again."""
        disk = self._disks.get(node)
        return disk is not None and disk.trouble == "damage"

    def meets(self, node: NodeId) -> None:
        """Counts a commit or a restart that met the node's faulty disk."""
        self.met[node] = self.met.get(node, 0) + 1

    def refuse(self, commit: Commit) -> tuple[dict[NodeId, str], int]:
        """Returns the reasons, by node, why disks refuse the commit, and the additional time of the others' commit
        (nanoseconds)."""
        if not self._disks:
            return {}, 0
        refused: dict[NodeId, str] = {}
        latency = 0
        for node, _ in commit:
            disk = self._disks.get(node)
            if disk is None or disk.trouble == "damage":
                continue
            if disk.trouble == "slow":
                self.meets(node)
                latency = max(latency, disk.latency)
            elif disk.trouble == "full":
                refused[node] = "no space left on the disk"
            else:
                del self._disks[node]
                refused[node] = "fsync failed: the commit may be lost, and is not tried again"
        return refused, latency

    def _set_disk(self, action: SetDisk) -> None:
        if self.damaged(action.node):
            return  # damage cannot be repaired
        self._disks[action.node] = action
        if action.trouble == "none":
            del self._disks[action.node]

    def _set_clock(self, node: WorkerNode, action: SetClock) -> None:
        worker = self._worker
        now = worker.now()
        if node.clock is None:
            node.clock = Clock()
        node.clock.set(now, action.drift_ppm, action.step)
        if worker.rows is not None:
            told = msgspec.json.encode(msgspec.structs.asdict(action))
            worker.rows.row(EventKind.FAULT, now, -1, node.index, name=action_name(action), payload=told)
        node.forget_wake_up()  # it was computed with the old drift
        worker.wake(node)  # an empty batch, which sets it anew

    def _stream(self, link: LinkName) -> random.Random:
        setup = self._worker.setup
        name = f"{link[0]}->{link[1]}"
        return stream(setup.experiment.seed, "weather", f"{name}#{setup.incarnation}" if setup.incarnation else name)


def clock_after(settings: tuple[ClockSetting, ...]) -> Clock:
    """Returns a clock with these settings applied in order."""
    clock = Clock()
    for at, drift_ppm, step in settings:
        clock.set(at, drift_ppm, step)
    return clock
