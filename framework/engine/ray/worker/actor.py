"""The Ray actor around a worker: an event loop in a thread of its own, and calls into it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from framework.core.errors import RAISED, PluginFailed
from framework.core.message import NodeId
from framework.core.replica import ReplicaState
from framework.core.status import Status
from framework.core.tracebacks import error_line, place
from framework.engine.base import NodeCrash, Waiting
from framework.engine.ray.worker.local_faults import BootOrder
from framework.engine.tally import Tally
from framework.faults.actions import Action
from framework.faults.commit_fate import CommitFate
from framework.registry.discovery import add_import_path

if TYPE_CHECKING:
    from framework.engine.ray.transport.mesh import Mesh, PeerAddress

T = TypeVar("T")

FLUSH_S = 0.25


@dataclass(frozen=True)
class WorkerAddress:
    """The location of a worker. `address` is None with actor calls."""

    name: str
    address: PeerAddress | None
    pid: int
    machine: str


@dataclass(frozen=True)
class Booted:
    """The result of a boot. `refused`: why the storage prevented the start, or "". `cut`: a half-written commit was cut
    off."""

    refused: str
    cut: bool


@dataclass(frozen=True)
class WorkerReport:
    """The present state of a worker."""

    tally: Tally
    finished: bool  # no operation is under way, and none will start
    is_final: bool  # ... in the final phase of the workload
    statuses: dict[NodeId, Status | None]  # None: down; absent: down for good
    turns: dict[NodeId, int]  # crashes and restarts by faults that the status already reflects
    touched_counts: dict[int, tuple[int, int]]  # messages that passed each impairment, and those that it touched
    met: dict[NodeId, int]  # commits and restarts that met a faulty disk


@dataclass(frozen=True)
class NodeFailed:
    """The failure of a node because of its storage."""

    crash: NodeCrash
    report: WorkerReport


@dataclass(frozen=True)
class FinalReport:
    """The last report of a worker."""

    last: WorkerReport
    crashes: tuple[NodeCrash, ...]
    rejected: int


Contact = tuple[str, "PeerAddress | None", Any]
"""Name, address and actor handle of a worker."""


class WorkerActor:
    """One process of a run. `path` is added to `sys.path` before the pickled `Setup` is read."""

    def __init__(self, path: list[str], setup: bytes) -> None:
        import uvloop
        from ray import cloudpickle

        for folder in path:
            add_import_path(Path(folder))
        self._setup = cloudpickle.loads(setup)
        self._news: SimpleQueue[str | NodeFailed] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._loop.set_exception_handler(self._unexpected)
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()
        self._call(self._build)
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 20, 20)

    def listen(self, host: str) -> WorkerAddress:
        """Opens the worker to others, at `host` or (if empty) at its machine's address. Returns its location."""
        import ray

        host = host or str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        address = None
        if self._mesh is not None:
            address = asyncio.run_coroutine_threadsafe(self._mesh.listen(host), self._loop).result()
        return WorkerAddress(self._setup.name, address, os.getpid(), ray.get_runtime_context().get_node_id())

    def connect(self, contacts: Mapping[int, Contact]) -> None:
        """Prepares for the first boot: records the other workers' contacts, connects to them, and prepares the load of
        the clients."""
        self._call(lambda: self._learn(contacts))
        self._call(self._worker.prepare_clients)
        if self._mesh is not None:
            asyncio.run_coroutine_threadsafe(self._mesh.connect_all(), self._loop).result()

    def learn(self, contacts: Mapping[int, Contact]) -> None:
        """Records the contacts of these workers."""
        self._call(lambda: self._learn(contacts))

    def boot(self, order: BootOrder) -> Booted:
        """Starts the nodes or clients."""
        return self._call(lambda: self._boot(order))

    def receive(self, frames: bytes) -> None:
        """Receives frames from another worker, in place of a connection."""
        self._loop.call_soon_threadsafe(self._take, frames)

    def report(self) -> WorkerReport:
        """Returns the present state of the worker."""
        return self._call(self._report)

    def replica_states(self, whole: bool) -> dict[NodeId, dict[str, ReplicaState] | None]:
        """Returns the progress of its nodes' replicas, with their states if `whole`."""
        return self._call(lambda: self._worker.replica_states(whole=whole))

    def node_copies(self) -> dict[NodeId, bytes]:
        """Returns its nodes that run, pickled (see `Node.__getstate__`)."""
        return self._call(self._worker.node_copies)

    def apply(self, action: Action, cause: int, fate: CommitFate) -> CommitFate | None:
        """Carries out a fault within this process. A crash or a restart concerns one of its several nodes.

        For a crash, returns the fate of the node's commit in flight (see `Worker.crash`); None if there was none.
        """
        return self._call(lambda: self._worker.faults.apply(action, cause, fate))

    def healed(self, at: int) -> None:
        """Records that the faults ended at `at`; later outcomes count towards recovery."""
        self._call(lambda: self._worker.tally.heal(at))

    def begin_final(self) -> None:
        """Begins the final phase of the workload."""
        self._call(self._worker.begin_final)

    def can_serve(self, running: tuple[NodeId, ...]) -> bool | None:
        """Returns whether the nodes `running` are enough to serve, in the view of the nodes that run here."""
        return self._call(lambda: self._worker.can_serve(running))

    def open_operations(self) -> tuple[tuple[Waiting, ...], int]:
        """Returns the oldest open operations of its clients, and the number of all open ones."""
        return self._call(self._open_operations)

    def watch(self) -> str | NodeFailed:
        """Blocks until the worker cannot go on, and returns the reason, or until a node's storage fails."""
        return self._news.get()

    def finish(self) -> FinalReport:
        """Closes the files and returns the last report. Nothing happens afterwards."""
        return self._call(self._finish)

    # In the loop's thread.

    def _build(self) -> None:
        from framework.engine.ray.transport.actor_calls import ActorCalls
        from framework.engine.ray.transport.mesh import Mesh
        from framework.engine.ray.worker.trace_rows import EventRows, first_seq
        from framework.engine.ray.worker.worker import Worker
        from framework.engine.wire_codec import Wire
        from framework.trace.recorder import HistoryWriter

        setup = self._setup
        experiment = setup.experiment
        rows = None
        if experiment.trace == "full":
            first = first_seq(setup.worker, setup.incarnation)
            rows = EventRows(setup.trace, Wire(experiment.protocol), experiment.endpoints, first)
        self._rows = rows
        self._worker = Worker(setup, self._loop, rows)
        self._worker.on_storage_failed = lambda crash: self._news.put(NodeFailed(crash, self._report()))
        if setup.first_client is not None:
            self._worker.history = HistoryWriter(setup.history) if experiment.trace != "none" else None
        self._mesh: Mesh | None = None
        if setup.transport == "mesh":
            self._mesh = self._worker.transport = Mesh(self._loop, setup.name, setup.secret, self._worker)
        else:
            self._calls = self._worker.transport = ActorCalls(self._loop, self._worker)
        if rows is not None:
            self._loop.call_later(FLUSH_S, self._flush)

    def _boot(self, order: BootOrder) -> Booted:
        from framework.engine.ray.disk.commits import DatabaseCommits
        from framework.engine.ray.disk.database import Database, StorageError

        worker, setup, cause = self._worker, self._setup, order.cause
        worker.zero, worker.epoch = order.zero, order.epoch
        for action in order.faults:
            worker.faults.apply(action, -1)
        worker.faults.set_clocks_before(order.clocks)
        again, cut = setup.incarnation > 0, False
        try:
            if setup.storage == "sqlite" and any(node.durable for node in worker.nodes.values()):
                path = setup.database
                database = Database.reopen(path, order.acknowledged) if again else Database.create(path)
                cut = database.cut
                worker.commits = DatabaseCommits(database, self._loop)
            durable = [node.id for node in worker.nodes.values() if node.durable]
            storages = {node: worker.commits.storage(node) for node in durable}
        except StorageError as error:
            for node in worker.nodes.values():
                worker.refuse(node, f"storage damaged: {error}" if again else str(error), cause)
            if self._rows is not None:
                self._rows.write_through()
            return Booted(str(error), cut)
        for node in worker.nodes.values():
            if node.id not in order.standing_by:
                worker.boot(node, storages.get(node.id), cause)
        worker.begin_load()
        if self._rows is not None:
            self._rows.write_through()  # so that the trace holds the start even if a crash follows at once
        return Booted("", cut)

    def _learn(self, contacts: Mapping[int, Contact]) -> None:
        for worker, (name, address, handle) in contacts.items():
            if worker == self._setup.worker:
                continue
            if self._mesh is not None:
                assert address is not None
                self._mesh.learn(worker, name, address)
            else:
                self._calls.learn(worker, name, handle)

    def _take(self, frames: bytes) -> None:
        from framework.engine.ray.transport.frames import FrameError

        try:
            if self._worker.take(frames) < len(frames):
                raise FrameError("a call with half a frame")
        except FrameError as error:
            self._worker.rejected(str(error))

    def _report(self) -> WorkerReport:
        worker = self._worker
        faults = worker.faults
        shown = self._setup.first_client is None or self._setup.experiment.faults
        statuses = worker.statuses() if shown else {}
        turns = {node.id: node.turns for node in worker.nodes.values()}
        finished = worker.is_load_finished
        is_final = worker.clients is not None and worker.clients.is_final
        return WorkerReport(
            worker.snapshot(), finished, is_final, statuses, turns, faults.touched_counts(), dict(faults.met)
        )

    def _open_operations(self) -> tuple[tuple[Waiting, ...], int]:
        clients = self._worker.clients
        return ((), 0) if clients is None else clients.open_operations()

    def _flush(self) -> None:
        if self._rows is not None:
            self._rows.flush_if_due()
            self._loop.call_later(FLUSH_S, self._flush)

    def _finish(self) -> FinalReport:
        worker = self._worker
        worker.end()
        report = self._report()
        worker.commits.close()
        worker.end_clients()
        if self._rows is not None:
            self._rows.close()
            self._rows = None
        return FinalReport(report, tuple(worker.crashes), worker.rejected_count)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Reports an exception outside the nodes' handlers: the worker itself or its disk is broken."""
        error = context.get("exception")
        if isinstance(error, PluginFailed):
            self._news.put(str(error))
        else:
            what = f"{error_line(error)} ({place(error)})" if error is not None else str(context.get("message"))
            self._news.put(f"{self._setup.endpoints[0]}: {what}")

    def _call(self, work: Callable[[], T]) -> T:
        """Runs `work` in the loop's thread and returns its result."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(work())
            except RAISED as error:
                future.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return future.result()
