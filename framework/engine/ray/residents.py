"""The hosts of a station: how they begin, end and begin again, and what they see of the time."""

from __future__ import annotations

import asyncio
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from functools import partial
from heapq import heappush
from typing import TYPE_CHECKING, Any

from framework.core.errors import RAISED
from framework.core.message import NodeId
from framework.core.node import TimerKey
from framework.core.node_runtime import NodeRuntime, Start
from framework.core.random_streams import stream
from framework.core.replica import ReplicaState, replica_state
from framework.core.storage import StorageDamaged
from framework.core.time import NEVER
from framework.core.tracebacks import error_line, printable
from framework.engine.base import NodeCrash, Tally, agreed, check_nodes_own
from framework.engine.ray.commits import Commits, MemoryCommits
from framework.engine.ray.outgoing import Outgoing, Transport
from framework.engine.ray.recording import EventRows, start_payload
from framework.engine.ray.seat import HostedNode, make_seats
from framework.engine.ray.storage import Commit, StorageError
from framework.engine.ray.timing import Alarm
from framework.engine.ray.troubles import Troubles
from framework.engine.wire import Wire
from framework.faults.actions import CommitFate
from framework.trace.schema import EventKind

if TYPE_CHECKING:
    from framework.engine.ray.crew import Crew
    from framework.engine.ray.setup import Setup


class Residents(ABC):
    """The nodes or clients of one process. The owner of the station sets `transport`, `commits`, `crew` and the two origins
    of time before the first `boot`."""

    def __init__(self, setup: Setup, loop: asyncio.AbstractEventLoop, rows: EventRows | None = None) -> None:
        experiment = setup.experiment
        self.setup, self.experiment, self.loop, self.rows = setup, experiment, loop, rows
        self.wire = Wire(experiment.protocol)
        self.tally = Tally()
        self.crashes: list[NodeCrash] = []
        self.rejected_count = 0
        self.fell: Callable[[NodeCrash], None] = lambda crash: None  # told of a node whose storage failed
        self.crew: Crew | None = None
        self.transport: Transport | None = None
        self.zero = 0  # the run's start on this machine's monotonic clock
        self.epoch = 0  # the run's start on the wall clock
        self.commits: Commits = MemoryCommits()
        self._inbox_bytes = 0
        self._when_landed: list[Callable[[], None]] = []
        self._names = experiment.hosts
        self._index = {name: index for index, name in enumerate(self._names)}
        self.seats: dict[int, HostedNode] = make_seats(setup, self._index)
        self._delivered = [0] * len(self.wire.names)
        self._dirty: list[HostedNode] = []
        self._scheduled = False
        self._flying: Commit = ()  # the commit under way
        self._undone: set[NodeId] = set()  # whose part of it a crash takes back
        self._wakes: list[tuple[int, int]] = []
        self.troubles = Troubles(self)
        self.outgoing = Outgoing(self, self._index)
        self._now = 0  # when the batches under way began
        self._alarm = Alarm(loop, self.now, self._ring)
        self._ended = False

    @abstractmethod
    def _tick(self) -> None:
        """A batch for each seat that something waits for, a commit, and what leaves then."""

    @abstractmethod
    def timer_step(self, seat: HostedNode, key: TimerKey, cause: int) -> int:
        """The number of the step that a timer of the seat takes now."""

    @abstractmethod
    def _ring(self) -> None:
        """The alarm rings."""

    def now(self) -> int:
        """Nanoseconds since the run's start."""
        return time.monotonic_ns() - self.zero

    def seat(self, node: NodeId) -> HostedNode:
        """The place of a node that lives here."""
        return self.seats[self._index[node]]

    # Time.

    def set_clocks(self, seat: HostedNode, host: NodeRuntime, now: int) -> None:
        """What the node sees of the time `now`."""
        clock = seat.clock
        if clock is None:
            host.now, host.wall_clock = now, now + self.epoch
        else:
            host.now = local = clock.local(now)
            host.wall_clock = local + self.epoch + clock.wall_offset

    def queue(self, seat: HostedNode) -> None:
        """Sees to it that the seat is woken at its earliest deadline, by its own clock."""
        host = seat.host
        if host is None or host.wake >= NEVER:
            return
        at = host.wake if seat.clock is None else seat.clock.true(host.wake)
        if at < seat.queued:
            seat.queued = at
            heappush(self._wakes, (at, seat.index))

    def wake(self, seat: HostedNode) -> None:
        """Sees to it that the seat has a batch in the next tick."""
        if not seat.dirty:
            seat.dirty = True
            self._dirty.append(seat)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and not self._flying:
            self._scheduled = True
            self.loop.call_soon(self._tick)

    # Life and death.

    def boot(self, seat: HostedNode, storage: Any, cause: int = -1) -> None:
        """Makes the seat's node from its storage and runs `on_start`; its effects leave with the next commit."""
        name = seat.id if not seat.incarnation else f"{seat.id}#{seat.incarnation}"
        try:
            if self.troubles.damaged(seat.id):
                raise StorageDamaged("storage damaged: an acknowledged record does not fit its checksum", asked=True)
            seat.host = host = NodeRuntime(
                seat.id, stream(self.experiment.seed, "node", name), storage,
                on_timer_step=partial(self.timer_step, seat), is_durable=seat.durable,
            )  # fmt: skip
            seat.deaf = False
            seat.queued = NEVER
            now = self.now()
            self.set_clocks(seat, host, now)
            step = -1
            if self.rows is not None:
                payload = start_payload(seat.incarnation, self.epoch, host.stored, seat.clock)
                step = self.rows.row(EventKind.START, now, cause, seat.index, payload=payload)
            self.tally.steps += 1
            host.take(Start(seat.class_, seat.config, seat.peers, seat.spare, step))
        except StorageDamaged as damaged:
            seat.raised = True
            self._storage_failed(seat, str(damaged), cause, asked=damaged.asked)
        except RAISED as error:
            self.raised(seat, error)
        self.wake(seat)

    def restart(self, node: NodeId, cause: int = -1) -> None:
        """Boots a node that is down over what it had committed, once no commit is in flight."""
        if self._flying:
            self._when_landed.append(lambda: self.restart(node, cause))
            return
        seat = self.seat(node)
        seat.turns += 1
        if seat.host is None and not seat.raised:
            seat.incarnation += 1
            seat.routes = {}
            try:
                storage = self.commits.storage(node)
            except StorageError as error:
                seat.raised = True
                self._storage_failed(seat, f"storage damaged: {error}", cause)
            else:
                self.boot(seat, storage, cause)

    def crash(
        self, node: NodeId, why: str, cause: int = -1, *, asked: bool = False, fate: CommitFate = "kept"
    ) -> CommitFate | None:
        """Discards a node and all that waits for it; what it committed stays. `asked`: it is a fault's doing.

        Returns the fate of its commit in flight (a torn one is lost here: neighbours share the file); None if there was
        none.
        """
        seat = self.seat(node)
        seat.turns += asked
        if seat.host is None and asked:  # it has fallen by itself before it was told
            return None
        fate = "lost" if fate == "torn" else fate
        flying = any(owner == node for owner, _ in self._flying)
        if flying and fate != "kept":
            self._undone.add(node)
        self._stop(seat, why, "", cause, asked=asked)
        return fate if flying else None

    def raised(self, seat: HostedNode, error: BaseException) -> None:
        """Crashes the node: its batch is lost and it stays down. Raises errors again that other plugins, the trace or a lack
        of memory caused (see `check_nodes_own`)."""
        check_nodes_own(error, seat.id, seat.class_)
        text = printable("".join(traceback.format_exception(error)))
        self._stop(seat, error_line(error), text, seat.host.step if seat.host is not None else -1)
        seat.raised = True

    def _storage_failed(self, seat: HostedNode, why: str, cause: int, *, asked: bool = False) -> None:
        """The node crashes, and whoever may bring it back is told. `asked`: a fault has troubled its disk."""
        if asked:
            self.troubles.meets(seat.id)
        self._stop(seat, why, "", cause, asked=asked, storage=True)
        if self.rows is not None:
            self.rows.write_through()  # the process may not live much longer
        self.fell(self.crashes[-1])

    def _stop(
        self, seat: HostedNode, why: str, text: str, cause: int, *, asked: bool = False, storage: bool = False
    ) -> None:  # fmt: skip
        now = self.now()
        self.crashes.append(NodeCrash(seat.id, now, why, text, asked, storage))
        if self.rows is not None:
            self.rows.row(EventKind.CRASH, now, cause, seat.index, payload=f"{why}\n{text}".rstrip().encode())
        inbox, seat.inbox = seat.inbox, []
        seat.host, seat.deaf = None, True
        for path, source, message, index, seq, size in inbox:
            self.outgoing.drop(source, seat.index, path, message, index, seq, size, f"{seat.id} crashed")
        if self.crew is not None:
            self.crew.died(seat)

    def statuses(self) -> dict[NodeId, dict[str, Any] | None]:
        """What each seat's node shows of itself; None for one that is down, absent if nothing brings it back."""
        shown: dict[NodeId, dict[str, Any] | None] = {}
        for seat in self.seats.values():
            try:
                if not seat.raised:
                    shown[seat.id] = None if seat.host is None else dict(seat.host.root.status)
            except RAISED as error:
                self.raised(seat, error)
        return shown

    def can_serve(self, running: Collection[NodeId]) -> bool | None:
        """Whether the nodes `running` are enough to serve, as those of them that run here see it; None if none says."""
        answers: list[bool | None] = []
        for seat in self.seats.values():
            try:
                answers.append(seat.host.root.can_serve(running) if seat.host is not None else None)
            except RAISED as error:  # an author's mistake, as in a handler
                self.raised(seat, error)
        return agreed(answers)

    def standings(self, *, whole: bool) -> dict[NodeId, ReplicaState | None]:
        """Where each seat's replica stands; None for a node that is down, absent if nothing brings it back or it keeps none."""
        found: dict[NodeId, ReplicaState | None] = {}
        for seat in self.seats.values():
            if seat.host is None:
                if not seat.raised:
                    found[seat.id] = None
                continue
            try:
                stands = replica_state(seat.host.root.replica, whole=whole)
            except RAISED as error:
                self.raised(seat, error)
                continue
            if stands is not None:
                found[seat.id] = stands
        return found
