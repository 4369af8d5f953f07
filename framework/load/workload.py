"""Workloads: the operations of clients."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from framework.core.client import Operation, Outcome
from framework.core.message import Config, NodeId
from framework.core.time import Duration
from framework.core.value import Value

Invocation: TypeAlias = tuple[str, str | None, Value]
"""An operation to invoke: `(function, key, argument)`."""


class WorkloadConfig(Config):
    """The settings of every workload."""

    loop: Literal["closed", "open"] = "closed"
    rate: Annotated[float, Meta(gt=0)] = 100.0
    """Open loop: operations per second, all clients together."""
    arrivals: Literal["poisson", "fixed"] = "poisson"
    """Open loop: the arrival process of operations."""
    think_time: Duration = Duration("0")
    """Closed loop: time that a client waits between operations."""
    timeout: Duration = Duration("5s")
    """Time after which an operation ends as unknown."""


class FinalPhaseConfig(WorkloadConfig):
    """The settings of every workload that has a final phase."""

    final_after: Duration = Duration("0")
    """Time from the last operation of the load to the final phase, for the protocol to converge."""
    final_time: Duration = Duration("10s")
    """The maximum length of the final phase: no operation begins after it."""


class Workload(ABC):
    """A seeded source of operations.

    One instance serves the clients of one process: all of them in the simulator, those of one client actor on Ray. Its
    results may depend only on its arguments so far and on `rng`, so that a seed reproduces the run.
    """

    roles: Mapping[str, tuple[NodeId, ...]] = MappingProxyType({})
    """The nodes of the run by the role that its protocol gives them; empty while the config is checked."""

    def __init__(self, config: WorkloadConfig) -> None:
        self.config = config

    @abstractmethod
    def functions(self) -> tuple[str, ...]:
        """Returns the functions that this workload may invoke with its config."""

    @abstractmethod
    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        """Returns the next operation of `client`, at `now` nanoseconds of the run.

        None: the client does nothing more until the final phase; in an open loop, this arrival is skipped.
        """

    def completed(self, client: NodeId, operation: Operation, outcome: Outcome) -> None:
        """Called for each operation that has ended, before the next call of `next` or `final`."""

    def is_busy(self, client: NodeId) -> bool:
        """Returns whether `client` is in the middle of a sequence of operations that it must finish.

        For a busy client `next` is called after the end of the load, too, but not for longer than the time-out of an
        operation. A lock's holder is busy until it has released the lock. In an open loop no client is ever busy.
        """
        return False

    def final(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        """Returns the next operation of `client` in the final phase; None if it has no more.

        The final phase begins once the load is over, faults have ended, and all operations and replicas have come to
        rest. It is for last reads that show the final state. Its operations run in a closed loop and do not count
        towards throughput and latency. A workload that overrides this has a config derived from `FinalPhaseConfig`.
        """
        return None


def finishing_time(workload: type[Workload], config: WorkloadConfig) -> int:
    """Returns the nanoseconds after the end of the load in which busy clients may begin operations."""
    can_be_busy = workload.is_busy is not Workload.is_busy and config.loop == "closed"
    return int(config.timeout) if can_be_busy else 0
