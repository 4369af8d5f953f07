"""The endpoints of a worker: how they begin, end and begin again, and what they see of the time."""

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
from framework.engine.ray.disk.commits import Commits, MemoryCommits
from framework.engine.ray.disk.database import Commit, StorageError
from framework.engine.ray.worker.alarm import Alarm
from framework.engine.ray.worker.local_faults import LocalFaults
from framework.engine.ray.worker.outgoing import Outgoing, Transport
from framework.engine.ray.worker.trace_rows import EventRows, start_payload
from framework.engine.ray.worker.worker_node import WorkerNode, make_worker_nodes
from framework.engine.wire_codec import Wire
from framework.faults.actions import CommitFate
from framework.trace.schema import EventKind

if TYPE_CHECKING:
    from framework.engine.ray.worker.clients import WorkerClients
    from framework.engine.ray.worker.setup import Setup


class WorkerNodes(ABC):
    """The nodes or clients of one process. The owner of the worker sets `transport`, `commits`, `clients` and the two origins
    of time before the first `boot`."""

    def __init__(self, setup: Setup, loop: asyncio.AbstractEventLoop, rows: EventRows | None = None) -> None:
        experiment = setup.experiment
        self.setup, self.experiment, self.loop, self.rows = setup, experiment, loop, rows
        self.wire = Wire(experiment.protocol)
        self.tally = Tally()
        self.crashes: list[NodeCrash] = []
        self.rejected_count = 0
        self.on_storage_failed: Callable[[NodeCrash], None] = lambda crash: None  # told of a node whose storage failed
        self.clients: WorkerClients | None = None
        self.transport: Transport | None = None
        self.zero = 0  # the run's start on this machine's monotonic clock
        self.epoch = 0  # the run's start on the wall clock
        self.commits: Commits = MemoryCommits()
        self._inbox_bytes = 0
        self._when_landed: list[Callable[[], None]] = []
        self._names = experiment.endpoints
        self._index = {name: index for index, name in enumerate(self._names)}
        self.hosted_nodes: dict[int, WorkerNode] = make_worker_nodes(setup, self._index)
        self._delivered = [0] * len(self.wire.names)
        self._dirty: list[WorkerNode] = []
        self._scheduled = False
        self._flying: Commit = ()  # the commit under way
        self._undone: set[NodeId] = set()  # whose part of it a crash takes back
        self._wakes: list[tuple[int, int]] = []
        self.faults = LocalFaults(self)
        self.outgoing = Outgoing(self, self._index)
        self._now = 0  # when the batches under way began
        self._alarm = Alarm(loop, self.now, self._ring)
        self._ended = False

    @abstractmethod
    def _tick(self) -> None:
        """A batch for each hosted that something waits for, a commit, and what leaves then."""

    @abstractmethod
    def timer_step(self, hosted: WorkerNode, key: TimerKey, cause: int) -> int:
        """The number of the step that a timer of the hosted takes now."""

    @abstractmethod
    def _ring(self) -> None:
        """The alarm rings."""

    def now(self) -> int:
        """Nanoseconds since the run's start."""
        return time.monotonic_ns() - self.zero

    def hosted(self, node: NodeId) -> WorkerNode:
        """The place of a node that lives here."""
        return self.hosted_nodes[self._index[node]]

    # Time.

    def set_clocks(self, hosted: WorkerNode, host: NodeRuntime, now: int) -> None:
        """What the node sees of the time `now`."""
        clock = hosted.clock
        if clock is None:
            host.now, host.wall_clock = now, now + self.epoch
        else:
            host.now = local = clock.local(now)
            host.wall_clock = local + self.epoch + clock.wall_offset

    def queue(self, hosted: WorkerNode) -> None:
        """Sees to it that the hosted is woken at its earliest deadline, by its own clock."""
        host = hosted.runtime
        if host is None or host.wake >= NEVER:
            return
        at = host.wake if hosted.clock is None else hosted.clock.true(host.wake)
        if at < hosted.queued:
            hosted.queued = at
            heappush(self._wakes, (at, hosted.index))

    def wake(self, hosted: WorkerNode) -> None:
        """Sees to it that the hosted has a batch in the next tick."""
        if not hosted.dirty:
            hosted.dirty = True
            self._dirty.append(hosted)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and not self._flying:
            self._scheduled = True
            self.loop.call_soon(self._tick)

    # Life and death.

    def boot(self, hosted: WorkerNode, storage: Any, cause: int = -1) -> None:
        """Makes the hosted's node from its storage and runs `on_start`; its effects leave with the next commit."""
        name = hosted.id if not hosted.incarnation else f"{hosted.id}#{hosted.incarnation}"
        try:
            if self.faults.damaged(hosted.id):
                raise StorageDamaged("storage damaged: an acknowledged record does not fit its checksum", asked=True)
            hosted.runtime = host = NodeRuntime(
                hosted.id, stream(self.experiment.seed, "node", name), storage,
                on_timer_step=partial(self.timer_step, hosted), is_durable=hosted.durable,
            )  # fmt: skip
            hosted.drops_input = False
            hosted.queued = NEVER
            now = self.now()
            self.set_clocks(hosted, host, now)
            step = -1
            if self.rows is not None:
                payload = start_payload(hosted.incarnation, self.epoch, host.stored, hosted.clock)
                step = self.rows.row(EventKind.START, now, cause, hosted.index, payload=payload)
            self.tally.steps += 1
            host.take(Start(hosted.node_class, hosted.config, hosted.peers, hosted.spare, step))
        except StorageDamaged as damaged:
            hosted.raised = True
            self._storage_failed(hosted, str(damaged), cause, asked=damaged.asked)
        except RAISED as error:
            self.raised(hosted, error)
        self.wake(hosted)

    def restart(self, node: NodeId, cause: int = -1) -> None:
        """Boots a node that is down over what it had committed, once no commit is in flight."""
        if self._flying:
            self._when_landed.append(lambda: self.restart(node, cause))
            return
        hosted = self.hosted(node)
        hosted.turns += 1
        if hosted.runtime is None and not hosted.raised:
            hosted.incarnation += 1
            hosted.routes = {}
            try:
                storage = self.commits.storage(node)
            except StorageError as error:
                hosted.raised = True
                self._storage_failed(hosted, f"storage damaged: {error}", cause)
            else:
                self.boot(hosted, storage, cause)

    def crash(
        self, node: NodeId, why: str, cause: int = -1, *, asked: bool = False, fate: CommitFate = "kept"
    ) -> CommitFate | None:
        """Discards a node and all that waits for it; what it committed stays. `asked`: it is a fault's doing.

        Returns the fate of its commit in flight (a torn one is lost here: neighbours share the file); None if there was
        none.
        """
        hosted = self.hosted(node)
        hosted.turns += asked
        if hosted.runtime is None and asked:  # it has fallen by itself before it was told
            return None
        fate = "lost" if fate == "torn" else fate
        flying = any(owner == node for owner, _ in self._flying)
        if flying and fate != "kept":
            self._undone.add(node)
        self._stop(hosted, why, "", cause, asked=asked)
        return fate if flying else None

    def raised(self, hosted: WorkerNode, error: BaseException) -> None:
        """Crashes the node: its batch is lost and it stays down. Raises errors again that other plugins, the trace or a lack
        of memory caused (see `check_nodes_own`)."""
        check_nodes_own(error, hosted.id, hosted.node_class)
        text = printable("".join(traceback.format_exception(error)))
        self._stop(hosted, error_line(error), text, hosted.runtime.step if hosted.runtime is not None else -1)
        hosted.raised = True

    def _storage_failed(self, hosted: WorkerNode, why: str, cause: int, *, asked: bool = False) -> None:
        """The node crashes, and whoever may bring it back is told. `asked`: a fault has troubled its disk."""
        if asked:
            self.faults.meets(hosted.id)
        self._stop(hosted, why, "", cause, asked=asked, storage=True)
        if self.rows is not None:
            self.rows.write_through()  # the process may not live much longer
        self.on_storage_failed(self.crashes[-1])

    def _stop(
        self, hosted: WorkerNode, why: str, text: str, cause: int, *, asked: bool = False, storage: bool = False
    ) -> None:  # fmt: skip
        now = self.now()
        self.crashes.append(NodeCrash(hosted.id, now, why, text, asked, storage))
        if self.rows is not None:
            self.rows.row(EventKind.CRASH, now, cause, hosted.index, payload=f"{why}\n{text}".rstrip().encode())
        inbox, hosted.inbox = hosted.inbox, []
        hosted.runtime, hosted.drops_input = None, True
        for path, source, message, index, seq, size in inbox:
            self.outgoing.drop(source, hosted.index, path, message, index, seq, size, f"{hosted.id} crashed")
        if self.clients is not None:
            self.clients.died(hosted)

    def statuses(self) -> dict[NodeId, dict[str, Any] | None]:
        """What each hosted's node shows of itself; None for one that is down, absent if nothing brings it back."""
        shown: dict[NodeId, dict[str, Any] | None] = {}
        for hosted in self.hosted_nodes.values():
            try:
                if not hosted.raised:
                    shown[hosted.id] = None if hosted.runtime is None else dict(hosted.runtime.root.status)
            except RAISED as error:
                self.raised(hosted, error)
        return shown

    def can_serve(self, running: Collection[NodeId]) -> bool | None:
        """Whether the nodes `running` are enough to serve, as those of them that run here see it; None if none says."""
        answers: list[bool | None] = []
        for hosted in self.hosted_nodes.values():
            try:
                answers.append(hosted.runtime.root.can_serve(running) if hosted.runtime is not None else None)
            except RAISED as error:  # an author's mistake, as in a handler
                self.raised(hosted, error)
        return agreed(answers)

    def replica_states(self, *, whole: bool) -> dict[NodeId, ReplicaState | None]:
        """WorkerAddress each hosted's replica stands; None for a node that is down, absent if nothing brings it back or it keeps none."""
        found: dict[NodeId, ReplicaState | None] = {}
        for hosted in self.hosted_nodes.values():
            if hosted.runtime is None:
                if not hosted.raised:
                    found[hosted.id] = None
                continue
            try:
                stands = replica_state(hosted.runtime.root.replica, whole=whole)
            except RAISED as error:
                self.raised(hosted, error)
                continue
            if stands is not None:
                found[hosted.id] = stands
        return found
