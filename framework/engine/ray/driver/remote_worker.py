"""One worker, and one machine, as the driver sees them."""

from __future__ import annotations

import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.core.message import NodeId
from framework.core.status import Status
from framework.engine.ray.driver.machine_agent import MachineAgent
from framework.engine.tally import Tally
from framework.faults.commit_fate import CommitFate

if TYPE_CHECKING:
    from framework.engine.ray.worker.actor import WorkerAddress

ANSWER_S = 10.0


class WorkerState(Enum):
    """The state of a worker's present incarnation, as known to the driver."""

    STARTING = "its process has not answered yet"
    READY = "its process waits for a restart of its nodes"
    CONNECTING = "it learns where the others are, and boots then"
    BOOTING = "its nodes start"
    RUNNING = "its nodes run"
    PAUSED = "its process is stopped (SIGSTOP)"
    REFUSED = "its storage cannot be read; nothing boots it"
    DEAD = "its process is gone, and no other follows yet"


_UP = frozenset({WorkerState.CONNECTING, WorkerState.BOOTING, WorkerState.RUNNING, WorkerState.PAUSED})


class RemoteWorker:
    """A worker through all its incarnations."""

    def __init__(self, number: int, endpoints: tuple[NodeId, ...], first_client: int | None = None) -> None:
        self.number, self.endpoints, self.first_client = number, endpoints, first_client
        self.machine = ""
        self.incarnation = 0
        self.actor: Any = None  # its handle
        self.where: WorkerAddress | None = None  # None: its process has not arrived
        self.state = WorkerState.STARTING
        self._before_pause = WorkerState.RUNNING
        self.wanted: int | None = None  # the trace row of the restart that it boots for; None: no restart requested
        self.acknowledged: int | None = None  # the last commit that survived a crash; None: all in the database
        self.torn = False  # whether that crash left a commit half written
        self.statuses: dict[NodeId, Status | None] = {}
        self.turns: dict[NodeId, int] = {}  # crashes and restarts sent to this incarnation
        self.tally = Tally()
        self.touched_counts: dict[int, tuple[int, int]] = {}
        self.met: dict[NodeId, int] = {}
        self.finished = False
        self.is_final = False
        self.reporting = False
        self.next_report = 0.0

    @property
    def serves_clients(self) -> bool:
        return self.first_client is not None

    @property
    def emulates_crashes(self) -> bool:
        """True if a crash of an endpoint leaves the process alive: others share it, or it is a client's."""
        return len(self.endpoints) > 1 or self.serves_clients

    @property
    def is_up(self) -> bool:
        """True if a boot order was sent or soon will be, and the process is not known to be gone."""
        return self.state in _UP

    @property
    def is_booted(self) -> bool:
        """True once this incarnation has been sent its boot order; from then on faults are sent to it directly."""
        state = self._before_pause if self.is_paused else self.state
        return self.is_up and state is not WorkerState.CONNECTING

    @property
    def is_paused(self) -> bool:
        return self.state is WorkerState.PAUSED

    def told_to_boot(self) -> None:
        """Records that its boot order is being sent."""
        self._advance(WorkerState.BOOTING)

    def booted(self) -> None:
        """Records that its nodes run."""
        self._advance(WorkerState.RUNNING)

    def _advance(self, state: WorkerState) -> None:
        """Moves to `state`; if its process is stopped, once that is resumed."""
        if self.is_paused:
            self._before_pause = state
        else:
            self.state = state

    def pause(self) -> None:
        """Records that its process has been stopped."""
        assert self.is_up and not self.is_paused
        self._before_pause, self.state = self.state, WorkerState.PAUSED

    def resume(self) -> None:
        """Records that its process has been resumed."""
        assert self.is_paused
        self.state = self._before_pause


class Machine:
    """A machine of the run, and its agent: an object on the driver's own machine, an actor on every other."""

    def __init__(self, folder: Path, here: MachineAgent | None, actor: Any = None) -> None:
        self.folder = folder  # of this run, on that machine
        self.offset = 0  # its monotonic clock minus the driver's
        self.error = 0  # error bound of the offset, nanoseconds
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
        """Returns the duration of one fsync on the machine, in nanoseconds."""
        if self._here is not None:
            return self._here.fsync(self.folder)
        return int(self._ask(self._actor.fsync.remote(self.folder)))

    def set_clock(self, readings: int) -> None:
        """Estimates the clock offset from the shortest of several round trips (Cristian's algorithm)."""
        best = 1 << 62
        for _ in range(readings):
            sent = time.monotonic_ns()
            there = self._ask(self._actor.clock.remote())
            trip = time.monotonic_ns() - sent
            if trip < best:
                best, self.error = trip, (trip + 1) // 2
                self.offset = there - sent - trip // 2

    def clean(self, home: bool) -> None:
        """Removes the run's files outside its folder, and the durable state in it; ends the agent."""
        import ray

        if self._here is not None:
            self._here.remove(self.folder / "storage" if home else self.folder)
        else:
            self._ask(self._actor.remove.remote(self.folder))
            ray.kill(self._actor)

    def _ask(self, answer: Any) -> Any:
        import ray

        return ray.get(answer, timeout=ANSWER_S)
