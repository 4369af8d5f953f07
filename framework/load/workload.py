"""Workloads: what clients do."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Annotated, Literal

from msgspec import Meta

from framework.core.message import Config, NodeId
from framework.core.time import Duration
from framework.core.value import Value


class WorkloadConfig(Config):
    """What every workload can be told."""

    loop: Literal["closed", "open"] = "closed"
    rate: Annotated[float, Meta(gt=0)] = 100.0
    """Open loop: operations a second, all clients together."""
    arrivals: Literal["poisson", "fixed"] = "poisson"
    """Open loop: how operations fall due."""
    think_time: Duration = Duration("0")
    """Closed loop: how long a client waits between operations."""
    timeout: Duration = Duration("5s")
    """After this an operation ends as unknown."""


class Workload(ABC):
    """A seeded source of operations."""

    def __init__(self, config: WorkloadConfig) -> None:
        self.config = config

    @abstractmethod
    def functions(self) -> tuple[str, ...]:
        """The functions that this workload, so configured, may invoke."""

    @abstractmethod
    def next(self, client: NodeId, rng: random.Random) -> tuple[str, str | None, Value]:
        """`(function, key, argument)` of the next operation."""
