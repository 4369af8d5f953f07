"""Clients of queues, stacks and sets. Every value is unique within the run.

In the final phase, clients empty every queue and stack and read every set, so that the checkers `total_queue` and `set`
can judge the final contents.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from itertools import accumulate
from typing import Annotated, ClassVar

from msgspec import Meta

from framework import (
    FinalPhaseConfig,
    Invocation,
    NodeId,
    Ok,
    Operation,
    Outcome,
    Workload,
    WorkloadSpec,
    hookimpl,
)

Weight = Annotated[int, Meta(ge=0)]


class ContainerConfig(FinalPhaseConfig):
    """The number of objects."""

    keys: Annotated[int, Meta(ge=1)] = 1
    """Number of objects: k1, k2, …, all equally popular."""


class QueueConfig(ContainerConfig):
    """The weights of the operations."""

    enqueue: Weight = 50
    """Weight of `enqueue`: with equal weights, half of the operations add a value."""
    dequeue: Weight = 50
    """Weight of `dequeue`."""

    def __post_init__(self) -> None:
        _check_weights(enqueue=self.enqueue, dequeue=self.dequeue)


class StackConfig(ContainerConfig):
    """The weights of the operations."""

    push: Weight = 50
    """Weight of `push`: with equal weights, half of the operations add a value."""
    pop: Weight = 50
    """Weight of `pop`."""

    def __post_init__(self) -> None:
        _check_weights(push=self.push, pop=self.pop)


class SetConfig(ContainerConfig):
    """The weights of the operations, and the number of final readers."""

    add: Weight = 1
    """Weight of `add`; every added value is new."""
    read: Weight = 0
    """Weight of `read`, which returns all values: the history grows with the square of the number of values."""
    contains: Weight = 0
    """Weight of `contains`, for a value that this client has added."""
    remove: Weight = 0
    """Weight of `remove`, for a value that this client has added."""
    readers: Annotated[int, Meta(ge=1)] = 5
    """Number of clients that read every set in the final phase: c1, c2, …"""

    def __post_init__(self) -> None:
        _check_weights(add=self.add, read=self.read, contains=self.contains, remove=self.remove)


def _check_weights(**weights: int) -> None:
    if not any(weights.values()):
        raise ValueError(f"the weights of {', '.join(weights)} are all 0: give one of them a positive weight")


class ContainerWorkload(Workload):
    """A weighted mix of operations on `keys` objects.

    In the final phase each client invokes `last_function` on each object until `is_last` holds for an answer.
    """

    config: ContainerConfig
    mix: ClassVar[tuple[str, ...]]
    """The functions; each is also the name of its weight in the config."""
    last_function: ClassVar[str]

    def __init__(self, config: ContainerConfig) -> None:
        super().__init__(config)
        weights = {function: getattr(config, function) for function in self.mix if getattr(config, function)}
        self._functions = tuple(weights)
        self._bounds = list(accumulate(weights.values()))
        self._counts: dict[NodeId, int] = {}
        self._finished: dict[NodeId, int] = {}
        """The number of keys that each client has finished in the final phase."""

    def functions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._functions, self.last_function)))

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        function = self._functions[bisect_right(self._bounds, int(rng.random() * self._bounds[-1]))]
        return function, f"k{1 + int(rng.random() * self.config.keys)}", self.argument(function, client, rng)

    def argument(self, function: str, client: NodeId, rng: random.Random) -> str | None:
        """Returns the argument of `function`: a fresh value if it adds one, None otherwise."""
        if function in ("enqueue", "push", "add"):
            count = self._counts[client] = self._counts.get(client, 0) + 1
            return f"{client}.{count}"
        return None

    def final(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        finished = self._finished.setdefault(client, 0)
        return (self.last_function, f"k{finished + 1}", None) if finished < self.config.keys else None

    def completed(self, client: NodeId, operation: Operation, outcome: Outcome) -> None:
        if client in self._finished and isinstance(outcome, Ok) and self.is_last(outcome):
            self._finished[client] += 1

    def is_last(self, outcome: Ok) -> bool:
        """Returns whether this answer to `last_function` means that the client has finished the object."""
        return outcome.value is None


class QueueWorkload(ContainerWorkload):
    """Enqueues and dequeues; every queue is emptied in the final phase."""

    mix = ("enqueue", "dequeue")
    last_function = "dequeue"


class StackWorkload(ContainerWorkload):
    """Pushes and pops; every stack is emptied in the final phase."""

    mix = ("push", "pop")
    last_function = "pop"


class SetWorkload(ContainerWorkload):
    """Adds, and optionally reads, removals and look-ups; `readers` clients read every set in the final phase."""

    config: SetConfig

    mix = ("add", "read", "contains", "remove")
    last_function = "read"

    def argument(self, function: str, client: NodeId, rng: random.Random) -> str | None:
        if function in ("contains", "remove"):
            return f"{client}.{1 + int(rng.random() * self._counts.get(client, 1))}"
        return super().argument(function, client, rng)

    def final(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        return super().final(client, now, rng) if int(client[1:]) <= self.config.readers else None

    def is_last(self, outcome: Ok) -> bool:
        return True


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="queue", workload=QueueWorkload, config=QueueConfig,
            summary="Enqueues and dequeues; every queue is emptied in the end.",
        ),
        WorkloadSpec(
            name="stack", workload=StackWorkload, config=StackConfig,
            summary="Pushes and pops; every stack is emptied in the end.",
        ),
        WorkloadSpec(
            name="set", workload=SetWorkload, config=SetConfig,
            summary="Adds and reads of sets, which are read in the end.",
        ),
    ]  # fmt: skip
