"""Clients that count: increments and reads of a few counters."""

from __future__ import annotations

import random
from typing import Annotated

from msgspec import Meta

from framework import NodeId, Value, Workload, WorkloadConfig, WorkloadSpec, hookimpl


class CounterConfig(WorkloadConfig):
    """How many counters, and how often each operation."""

    keys: Annotated[int, Meta(ge=1)] = 1
    """How many counters there are: k1, k2, …, all equally popular."""
    read: Annotated[int, Meta(ge=0)] = 50
    """The weight of `read`: with equal weights half of the operations are reads."""
    increment: Annotated[int, Meta(ge=0)] = 50
    """The weight of `increment`."""
    amount: int = 1
    """What is added at a time."""

    def __post_init__(self) -> None:
        if not self.read + self.increment:
            raise ValueError("`read` and `increment` are both 0: give one of them a positive weight")


class CounterWorkload(Workload):
    """Reads and increments."""

    config: CounterConfig

    def functions(self) -> tuple[str, ...]:
        weights = {"read": self.config.read, "increment": self.config.increment}
        return tuple(function for function, weight in weights.items() if weight)

    def next(self, client: NodeId, rng: random.Random) -> tuple[str, str | None, Value]:
        config = self.config
        reads = int(rng.random() * (config.read + config.increment)) < config.read
        key = f"k{1 + int(rng.random() * config.keys)}"
        return ("read", key, None) if reads else ("increment", key, config.amount)


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="counter", workload=CounterWorkload, config=CounterConfig, summary="Increments and reads of counters."
        )
    ]
