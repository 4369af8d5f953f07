"""A run on stations without Ray: one process, one loop, real time, and the trace that Ray's engine leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from framework.core.node import Node
from framework.engine.base import Experiment
from framework.engine.ray.crew import Crew
from framework.engine.ray.recording import EventRows, first_seq
from framework.engine.ray.setup import Setup
from framework.engine.ray.station import Station
from framework.engine.wire import Wire
from framework.trace.recorder import HistoryWriter
from tests.engine.ray.register import register_run

EPOCH = 1_700_000_000_000_000_000


def register_on(folder: Path, node: type[Node] | None = None, **options: Any) -> Experiment:
    """The register on three nodes, with `node` for its node class."""
    experiment = register_run(folder, **options)
    if node is None:
        return experiment
    return dataclasses.replace(experiment, protocol=dataclasses.replace(experiment.protocol, node=node))


class Outbox:
    def __init__(self, station: int) -> None:
        self.station = station
        self.chunks: list[bytes] = []
        self.size = 0
        self.waiting = False


class Local:
    """A transport to the other stations of the same loop."""

    def __init__(self, stations: list[Station]) -> None:
        self.waiting: list[Any] = []
        self._stations = stations
        self._peers: dict[int, Outbox] = {}

    def peer(self, station: int) -> Outbox:
        return self._peers.setdefault(station, Outbox(station))

    def flush(self) -> None:
        waiting, self.waiting = self.waiting, []
        for peer in waiting:
            peer.waiting = False
            frames, peer.size = b"".join(peer.chunks), 0
            peer.chunks.clear()
            target = self._stations[peer.station]
            target.loop.call_soon(target.take, frames)

    def resume(self) -> None:
        """Nothing was stopped."""

    def close(self) -> None:
        """Nothing to close."""


def run_on_stations(
    experiment: Experiment,
    *,
    until: Callable[[list[Station]], bool],
    meanwhile: Callable[[list[Station]], None] | None = None,
) -> None:
    """A traced run on a station of all nodes and one of all clients, up to `until`; 20 s at most.

    `meanwhile` is called in each turn of the loop.
    """
    folder = experiment.run_dir
    loop = asyncio.new_event_loop()
    stations: list[Station] = []
    rows = []
    for number, hosts in enumerate((experiment.nodes, experiment.clients)):
        setup = Setup(
            experiment=experiment, station=number, incarnation=0, hosts=hosts, first_client=None if not number else 0,
            station_of=tuple(int(host in experiment.clients) for host in (*experiment.nodes, *experiment.clients)),
            secret=b"", transport="mesh", storage="memory", folder=folder, history=folder / "history.arrow",
        )  # fmt: skip
        all_hosts = (*experiment.nodes, *experiment.clients)
        rows.append(EventRows(setup.trace, Wire(experiment.protocol), all_hosts, first_seq(number, 0)))
        stations.append(Station(setup, loop, rows[-1]))
        stations[-1].transport = Local(stations)
    _, clients = stations
    clients.crew = Crew(clients, HistoryWriter(folder / "history.arrow"))
    for station in stations:
        station.zero, station.epoch = time.monotonic_ns(), EPOCH
    for station in stations:
        for seat in station.seats.values():
            station.boot(seat, station.commits.storage(seat.id) if seat.durable else None)
    clients.crew.start()
    loop.run_until_complete(_turns(stations, until, meanwhile))
    for station in stations:
        station.end()
    clients.crew.close()
    for written in rows:
        written.close()
    loop.close()


async def _turns(
    stations: list[Station],
    until: Callable[[list[Station]], bool],
    meanwhile: Callable[[list[Station]], None] | None,
) -> None:
    deadline = time.monotonic() + 20
    while not until(stations):
        assert time.monotonic() < deadline, "the run did not come so far within 20 s"
        if meanwhile is not None:
            meanwhile(stations)
        await asyncio.sleep(0)
