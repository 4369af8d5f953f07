"""Clients of counters: increments and reads; every client reads every counter in the final phase."""

from __future__ import annotations

import random
from typing import Annotated

from msgspec import Meta

from framework import FinalPhaseConfig, Invocation, NodeId, Ok, Operation, Outcome, Workload, WorkloadSpec, hookimpl


class CounterConfig(FinalPhaseConfig):
    """The number of counters, and the weights of the operations."""

    keys: Annotated[int, Meta(ge=1)] = 1
    """Number of counters: k1, k2, …, all equally popular."""
    read: Annotated[int, Meta(ge=0)] = 50
    """Weight of `read`: with equal weights, half of the operations are reads."""
    increment: Annotated[int, Meta(ge=0)] = 50
    """Weight of `increment`."""
    amount: int = 1
    """Amount added by each increment."""

    def __post_init__(self) -> None:
        if not self.read + self.increment:
            raise ValueError("`read` and `increment` are both 0: give one of them a positive weight")


class CounterWorkload(Workload):
    """Reads and increments; every client reads every counter in the final phase."""

    config: CounterConfig

    def __init__(self, config: CounterConfig) -> None:
        super().__init__(config)
        self._finished: dict[NodeId, int] = {}
        """The number of counters that each client has read in the final phase."""

    def functions(self) -> tuple[str, ...]:
        weights = {"read": self.config.read, "increment": self.config.increment}
        return tuple(dict.fromkeys([*(function for function, weight in weights.items() if weight), "read"]))

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        config = self.config
        reads = int(rng.random() * (config.read + config.increment)) < config.read
        key = f"k{1 + int(rng.random() * config.keys)}"
        return ("read", key, None) if reads else ("increment", key, config.amount)

    def final(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        finished = self._finished.setdefault(client, 0)
        return ("read", f"k{finished + 1}", None) if finished < self.config.keys else None

    def completed(self, client: NodeId, operation: Operation, outcome: Outcome) -> None:
        if client in self._finished and isinstance(outcome, Ok):
            self._finished[client] += 1


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="counter", workload=CounterWorkload, config=CounterConfig, summary="Increments and reads of counters."
        )
    ]
