"""One worker, and one machine, as the driver sees them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.core.message import NodeId
from framework.engine.base import Tally
from framework.engine.ray.driver.machine_agent import MachineAgent
from framework.faults.actions import CommitFate
from framework.faults.fault import Status

if TYPE_CHECKING:
    from framework.engine.ray.worker.actor import WorkerAddress

ANSWER_S = 10.0


class RemoteWorker:
    """A worker through all its incarnations."""

    def __init__(self, worker: int, endpoints: tuple[NodeId, ...], first_client: int | None = None) -> None:
        self.worker, self.endpoints, self.first_client = worker, endpoints, first_client
        self.machine = ""
        self.incarnation = 0
        self.handle: Any = None
        self.where: WorkerAddress | None = None  # None: its process has not arrived
        self.up = False  # whether it was booted and is not known to be gone
        self.booted = False  # whether this incarnation was told to boot
        self.asked = False  # whether it was we who killed it
        self.arriving = False  # whether its next incarnation's process is on the way
        self.wanted: int | None = None  # the restart that it shall boot for
        self.paused = False
        self.acknowledged: int | None = None  # the last commit that a crash left it; None: all that are there
        self.torn = False  # whether that crash left a commit half written
        self.statuses: dict[NodeId, Status | None] = {}
        self.turns: dict[NodeId, int] = {}  # crashes and restarts that this incarnation was told of
        self.tally = Tally()
        self.touched_counts: dict[int, tuple[int, int]] = {}
        self.met: dict[NodeId, int] = {}
        self.finished = False
        self.reporting = False
        self.next_report = 0.0


class Machine:
    """A machine of the run, and the agent on it: an object on the driver's own, an actor on every other."""

    def __init__(self, folder: Path, here: MachineAgent | None, actor: Any = None) -> None:
        self.folder = folder  # of this run, on that machine
        self.offset = 0  # its monotonic clock minus the driver's
        self.error = 0  # how far that may be off, nanoseconds
        self._here, self._actor = here, actor

    def signal(self, pid: int, name: str) -> None:
        if self._here is not None:
            self._here.signal(pid, name)
        else:
            self._ask(self._actor.signal.remote(pid, name))

    def kill(self, pids: list[int]) -> None:
        if self._here is not None:
            self._here.kill(pids)
        else:
            self._ask(self._actor.kill.remote(pids))

    def end(self, pid: int, database: Path) -> tuple[int, int]:
        if self._here is not None:
            return self._here.end(pid, database)
        begun, acknowledged = self._ask(self._actor.end.remote(pid, database))
        return begun, acknowledged

    def damage(self, database: Path, acknowledged: int) -> str:
        if self._here is not None:
            return self._here.damage(database, acknowledged)
        return str(self._ask(self._actor.damage.remote(database, acknowledged)))

    def leave(self, database: Path, number: int, fate: CommitFate) -> CommitFate:
        if self._here is not None:
            return self._here.leave(database, number, fate)
        left: CommitFate = self._ask(self._actor.leave.remote(database, number, fate))
        return left

    def files(self, folder: str) -> list[tuple[str, bytes]]:
        answer: list[tuple[str, bytes]] = self._ask(self._actor.files.remote(self.folder / folder))
        return answer

    def fsync(self) -> int:
        """What one fsync takes there, nanoseconds."""
        if self._here is not None:
            return self._here.fsync(self.folder)
        return int(self._ask(self._actor.fsync.remote(self.folder)))

    def set_clock(self, readings: int) -> None:
        """Compares the clocks; the shortest of several round trips says it best (Cristian's algorithm)."""
        best = 1 << 62
        for _ in range(readings):
            sent = time.monotonic_ns()
            there = self._ask(self._actor.clock.remote())
            trip = time.monotonic_ns() - sent
            if trip < best:
                best, self.error = trip, (trip + 1) // 2
                self.offset = there - sent - trip // 2

    def clean(self, home: bool) -> None:
        """Removes what the run left outside its folder, and the durable state in it; ends the agent."""
        import ray

        if self._here is not None:
            self._here.remove(self.folder / "storage" if home else self.folder)
        else:
            self._ask(self._actor.remove.remote(self.folder))
            ray.kill(self._actor)

    def _ask(self, answer: Any) -> Any:
        import ray

        return ray.get(answer, timeout=ANSWER_S)
