"""The Ray actor around a station: an event loop in a thread of its own, and calls that reach into it."""

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
from framework.core.tracebacks import error_line, place
from framework.engine.base import NodeCrash, Tally, Waiting
from framework.engine.ray.troubles import Birth
from framework.faults.actions import Action, CommitFate
from framework.registry.discovery import add_import_path

if TYPE_CHECKING:
    from framework.engine.ray.mesh import Address, Mesh

T = TypeVar("T")

FLUSH_S = 0.25


@dataclass(frozen=True)
class Where:
    """Where a station lives. `address` is None with actor calls."""

    name: str
    address: Address | None
    pid: int
    machine: str


@dataclass(frozen=True)
class Booted:
    """How a station started: why it could not start from its storage, or nothing; whether a half-written commit was cut off."""

    refused: str
    cut: bool


@dataclass(frozen=True)
class WorkerReport:
    """How a station is doing."""

    tally: Tally
    finished: bool  # no operation is under way, and none will start
    statuses: dict[NodeId, dict[str, Any] | None]  # None: down; absent: for good
    turns: dict[NodeId, int]  # crashes and restarts that a status has behind it, of those that faults asked of the node
    tolls: dict[int, tuple[int, int]]  # messages that came by each disturbance, and those that it touched
    met: dict[NodeId, int]  # commits and restarts that met the node's disk in trouble


@dataclass(frozen=True)
class Fall:
    """A node's storage failed, and with it the node."""

    crash: NodeCrash
    pulse: WorkerReport


@dataclass(frozen=True)
class Report:
    """What a station has to say at its end."""

    pulse: WorkerReport
    crashes: tuple[NodeCrash, ...]
    rejected: int


Contact = tuple[str, "Address | None", Any]
"""Name, address and actor handle of a station."""


class StationActor:
    """One process of a run. `path` is put onto `sys.path` before the pickled `Setup` is read."""

    def __init__(self, path: list[str], setup: bytes) -> None:
        import uvloop
        from ray import cloudpickle

        for folder in path:
            add_import_path(Path(folder))
        self._setup = cloudpickle.loads(setup)
        self._news: SimpleQueue[str | Fall] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._loop.set_exception_handler(self._unexpected)
        self._thread = threading.Thread(target=self._run, name="station", daemon=True)
        self._thread.start()
        self._call(self._build)
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 20, 20)

    def listen(self, host: str) -> Where:
        """Opens the station to others, at `host` or (if empty) at its machine's address; says where it is."""
        import ray

        host = host or str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        address = None
        if self._mesh is not None:
            address = asyncio.run_coroutine_threadsafe(self._mesh.listen(host), self._loop).result()
        return Where(self._setup.name, address, os.getpid(), ray.get_runtime_context().get_node_id())

    def connect(self, contacts: Mapping[int, Contact]) -> None:
        """Learns of the other stations and connects to them."""
        self._call(lambda: self._learn(contacts))
        if self._mesh is not None:
            asyncio.run_coroutine_threadsafe(self._mesh.connect_all(), self._loop).result()

    def learn(self, contacts: Mapping[int, Contact]) -> None:
        """From now on these stations are there."""
        self._call(lambda: self._learn(contacts))

    def boot(self, birth: Birth) -> Booted:
        """Starts the nodes or clients."""
        return self._call(lambda: self._boot(birth))

    def receive(self, frames: bytes) -> None:
        """Frames from another station, in place of a connection."""
        self._loop.call_soon_threadsafe(self._take, frames)

    def pulse(self) -> WorkerReport:
        """How the station is doing."""
        return self._call(self._pulse)

    def standings(self, whole: bool) -> dict[NodeId, ReplicaState | None]:
        """Where the replicas of its nodes stand, with their states if `whole`."""
        return self._call(lambda: self._station.standings(whole=whole))

    def inflict(self, action: Action, cause: int, fate: CommitFate) -> CommitFate | None:
        """Carries out what a fault does within this process, of which a crash and a restart are of one node of several.

        Returns what became of that node's commit in flight, which is `fate`; None if there was none.
        """
        return self._call(lambda: self._station.troubles.inflict(action, cause, fate))

    def healed(self, at: int) -> None:
        """The faults are over since `at`: what clients are answered from now on counts apart."""
        self._call(lambda: self._station.tally.heal(at))

    def can_serve(self, running: tuple[NodeId, ...]) -> bool | None:
        """Whether the nodes `running` are enough to serve, as those of them that run here see it."""
        return self._call(lambda: self._station.can_serve(running))

    def open_operations(self) -> tuple[tuple[Waiting, ...], int]:
        """The oldest of the operations that its clients have open, and how many are."""
        return self._call(self._open_operations)

    def watch(self) -> str | Fall:
        """Returns when the station cannot go on, with why, or when a node's storage failed."""
        return self._news.get()

    def finish(self) -> Report:
        """Closes the files and says how it went. Nothing happens afterwards."""
        return self._call(self._finish)

    # In the loop's thread.

    def _build(self) -> None:
        from framework.engine.ray.calls import ActorCalls
        from framework.engine.ray.crew import Crew
        from framework.engine.ray.mesh import Mesh
        from framework.engine.ray.recording import EventRows, first_seq
        from framework.engine.ray.station import Station
        from framework.engine.wire import Wire
        from framework.trace.recorder import HistoryWriter

        setup = self._setup
        experiment = setup.experiment
        rows = None
        if experiment.trace == "full":
            first = first_seq(setup.station, setup.incarnation)
            rows = EventRows(setup.trace, Wire(experiment.protocol), experiment.hosts, first)
        self._rows = rows
        self._station = Station(setup, self._loop, rows)
        self._station.fell = lambda crash: self._news.put(Fall(crash, self._pulse()))
        if setup.first_client is not None:
            history = HistoryWriter(setup.history) if experiment.trace != "none" else None
            self._station.crew = Crew(self._station, history)
        self._mesh: Mesh | None = None
        if setup.transport == "mesh":
            self._mesh = self._station.transport = Mesh(self._loop, setup.name, setup.secret, self._station)
        else:
            self._calls = self._station.transport = ActorCalls(self._loop, self._station)
        if rows is not None:
            self._loop.call_later(FLUSH_S, self._flush)

    def _boot(self, birth: Birth) -> Booted:
        from framework.engine.ray.commits import DatabaseCommits
        from framework.engine.ray.storage import Database, StorageError

        station, setup, cause = self._station, self._setup, birth.cause
        station.zero, station.epoch = birth.zero, birth.epoch
        for action in birth.troubles:
            station.troubles.inflict(action, -1)
        station.troubles.wind(birth.clocks)
        again, cut = setup.incarnation > 0, False
        try:
            if setup.storage == "sqlite" and any(seat.durable for seat in station.seats.values()):
                path = setup.database
                database = Database.reopen(path, birth.acknowledged) if again else Database.create(path)
                cut = database.cut
                station.commits = DatabaseCommits(database, self._loop)
            durable = [seat.id for seat in station.seats.values() if seat.durable]
            storages = {node: station.commits.storage(node) for node in durable}
        except StorageError as error:
            for seat in station.seats.values():
                station.crash(seat.id, f"storage damaged: {error}" if again else str(error), cause)
            if self._rows is not None:
                self._rows.write_through()
            return Booted(str(error), cut)
        for seat in station.seats.values():
            if seat.id not in birth.standing_by:
                station.boot(seat, storages.get(seat.id), cause)
        if station.crew is not None:
            station.crew.start()
        if self._rows is not None:
            self._rows.write_through()  # however short its life, the trace says that it began
        return Booted("", cut)

    def _learn(self, contacts: Mapping[int, Contact]) -> None:
        for station, (name, address, handle) in contacts.items():
            if station == self._setup.station:
                continue
            if self._mesh is not None:
                assert address is not None
                self._mesh.learn(station, name, address)
            else:
                self._calls.learn(station, name, handle)

    def _take(self, frames: bytes) -> None:
        from framework.engine.ray.frames import FrameError

        try:
            if self._station.take(frames) < len(frames):
                raise FrameError("a call with half a frame")
        except FrameError as error:
            self._station.rejected(str(error))

    def _pulse(self) -> WorkerReport:
        station = self._station
        crew, troubles = station.crew, station.troubles
        statuses = station.statuses() if crew is None else {}
        turns = {seat.id: seat.turns for seat in station.seats.values()}
        finished = crew is not None and crew.finished
        return WorkerReport(station.snapshot(), finished, statuses, turns, troubles.tolls(), dict(troubles.met))

    def _open_operations(self) -> tuple[tuple[Waiting, ...], int]:
        crew = self._station.crew
        return ((), 0) if crew is None else crew.open_operations()

    def _flush(self) -> None:
        if self._rows is not None:
            self._rows.flush_if_due()
            self._loop.call_later(FLUSH_S, self._flush)

    def _finish(self) -> Report:
        station = self._station
        station.end()
        pulse = self._pulse()
        station.commits.close()
        if station.crew is not None:
            station.crew.close()
        if self._rows is not None:
            self._rows.close()
            self._rows = None
        return Report(pulse, tuple(station.crashes), station.rejected_count)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that no handler of a node raised: the station itself is broken, or its disk is."""
        error = context.get("exception")
        if isinstance(error, PluginFailed):
            self._news.put(str(error))
        else:
            what = f"{error_line(error)} ({place(error)})" if error is not None else str(context.get("message"))
            self._news.put(f"{self._setup.hosts[0]}: {what}")

    def _call(self, work: Callable[[], T]) -> T:
        """Runs `work` in the loop's thread."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(work())
            except RAISED as error:
                future.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return future.result()
