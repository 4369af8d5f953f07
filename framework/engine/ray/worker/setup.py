"""The settings of a worker at its start, sent pickled from the driver to the actor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from framework.core.message import NodeId
from framework.engine.base import Experiment


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The settings of one incarnation of one worker."""

    experiment: Experiment
    worker: int
    incarnation: int
    endpoints: tuple[NodeId, ...]
    first_client: int | None  # None: a worker of nodes; else the index of its first client among all clients
    worker_of: tuple[int, ...]  # by the index of an endpoint among all nodes and clients
    secret: bytes
    transport: str  # mesh, actor_calls
    storage: str  # sqlite, memory
    folder: Path  # on this worker's machine: holds its database and trace
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
    """Returns the file with the durable state of these nodes, in their machine's folder of the run."""
    return folder / "storage" / f"{endpoints[0]}.db"


def worker_name(worker: int, incarnation: int) -> str:
    """Returns the name of a worker's incarnation on the mesh."""
    return f"s{worker}.{incarnation}"
