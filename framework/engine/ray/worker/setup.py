"""What a worker is told at its start; it travels pickled from the driver to the actor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from framework.core.message import NodeId
from framework.engine.base import Experiment


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One incarnation of one worker."""

    experiment: Experiment
    worker: int
    incarnation: int
    endpoints: tuple[NodeId, ...]
    first_client: int | None  # None: a worker of nodes; else the index of its first client among all clients
    worker_of: tuple[int, ...]  # by the index of an endpoint among all nodes and clients
    secret: bytes
    transport: str  # mesh, actor_calls
    storage: str  # sqlite, memory
    folder: Path  # of this worker's machine: database, trace and history stand in it
    history: Path  # of this worker's clients

    @property
    def name(self) -> str:
        return worker_name(self.worker, self.incarnation)

    @property
    def database(self) -> Path:
        return database_of(self.folder, self.endpoints)

    @property
    def trace(self) -> Path:
        return self.folder / "trace" / f"{self.endpoints[0]}-{self.incarnation}.arrow"


def database_of(folder: Path, endpoints: tuple[NodeId, ...]) -> Path:
    """The file with the durable state of these nodes, in the folder of their machine."""
    return folder / "storage" / f"{endpoints[0]}.db"


def worker_name(worker: int, incarnation: int) -> str:
    """What a worker calls itself towards others."""
    return f"s{worker}.{incarnation}"
