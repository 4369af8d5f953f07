"""What a station is told at its start; it travels pickled from the driver to the actor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from framework.core.message import NodeId
from framework.engine.base import Experiment


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One incarnation of one station."""

    experiment: Experiment
    station: int
    incarnation: int
    hosts: tuple[NodeId, ...]
    first_client: int | None  # None: a station of nodes; else the index of its first client among all clients
    station_of: tuple[int, ...]  # by the index of a host among all nodes and clients
    secret: bytes
    transport: str  # mesh, actor_calls
    storage: str  # sqlite, memory
    folder: Path  # of this station's machine: database, trace and history stand in it
    history: Path  # of this station's clients

    @property
    def name(self) -> str:
        return station_name(self.station, self.incarnation)

    @property
    def database(self) -> Path:
        return database_of(self.folder, self.hosts)

    @property
    def trace(self) -> Path:
        return self.folder / "trace" / f"{self.hosts[0]}-{self.incarnation}.arrow"


def database_of(folder: Path, hosts: tuple[NodeId, ...]) -> Path:
    """Where the durable state of these nodes stands in the folder of their machine."""
    return folder / "storage" / f"{hosts[0]}.db"


def station_name(station: int, incarnation: int) -> str:
    """What a station calls itself towards others."""
    return f"s{station}.{incarnation}"
