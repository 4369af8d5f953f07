"""Workloads: what clients do."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from framework.core.client import Operation, Outcome
from framework.core.message import Config, NodeId
from framework.core.time import Duration
from framework.core.value import Value

Invocation: TypeAlias = tuple[str, str | None, Value]
"""What a client is to do: `(function, key, argument)`."""


class WorkloadConfig(Config):
    """The settings of every workload."""

    loop: Literal["closed", "open"] = "closed"
    rate: Annotated[float, Meta(gt=0)] = 100.0
    """Open loop: operations a second, all clients together."""
    arrivals: Literal["poisson", "fixed"] = "poisson"
    """Open loop: how operations fall due."""
    think_time: Duration = Duration("0")
    """Closed loop: how long a client waits between operations."""
    timeout: Duration = Duration("5s")
    """After this an operation ends as unknown."""


class FinalPhaseConfig(WorkloadConfig):
    """The settings of every workload that has a final phase."""

    final_after: Duration = Duration("0")
    """How long after the last operation of the load the final phase begins: time that a protocol needs to converge."""
    final_time: Duration = Duration("10s")
    """How long the final phase may last: after that no operation of it begins."""


class Workload(ABC):
    """A seeded source of operations.

    One instance serves the clients of one process: all of them in the simulator, those of one client actor on Ray. What it
    returns may depend on what it was told and on `rng` alone, so that a seed gives the same run again.
    """

    def __init__(self, config: WorkloadConfig) -> None:
        self.config = config

    @abstractmethod
    def functions(self) -> tuple[str, ...]:
        """The functions that this workload, so configured, may invoke."""

    @abstractmethod
    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        """The next operation of `client`, at `now` nanoseconds of the run.

        None: the client does nothing more until the final phase; in an open loop, nothing is done with this arrival.
        """

    def completed(self, client: NodeId, operation: Operation, outcome: Outcome) -> None:
        """Called for each operation that has ended, before the next call of `next` or `final`."""

    def final(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        """The next operation of `client` in the final phase; None: it has done all.

        The final phase begins once the load is over, faults have ended, and all operations and replicas have come to rest, for
        last reads that show what is there in the end. Its operations run in a closed loop and are left out of throughput and
        latency. A workload that overrides this has a config that derives from `FinalPhaseConfig`.
        """
        return None
