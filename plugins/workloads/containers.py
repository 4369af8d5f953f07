"""Clients of queues, stacks and sets. Every value is unlike every other of the run.

In the final phase clients empty every queue and stack, and read every set: the checkers `total_queue` and `set`
judge what was there in the end.
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
    """How many objects there are."""

    keys: Annotated[int, Meta(ge=1)] = 1
    """How many there are: k1, k2, …, all equally popular."""


class QueueConfig(ContainerConfig):
    """How often each operation is invoked."""

    enqueue: Weight = 50
    """The weight of `enqueue`: with equal weights half of the operations put a value in."""
    dequeue: Weight = 50
    """The weight of `dequeue`."""

    def __post_init__(self) -> None:
        _check_weights(enqueue=self.enqueue, dequeue=self.dequeue)


class StackConfig(ContainerConfig):
    """How often each operation is invoked."""

    push: Weight = 50
    """The weight of `push`: with equal weights half of the operations put a value in."""
    pop: Weight = 50
    """The weight of `pop`."""

    def __post_init__(self) -> None:
        _check_weights(push=self.push, pop=self.pop)


class SetConfig(ContainerConfig):
    """How often each operation is invoked."""

    add: Weight = 1
    """The weight of `add`, each time of a value that was never added before."""
    read: Weight = 0
    """The weight of `read`, of all values: the history grows with the square of the values that are read."""
    contains: Weight = 0
    """The weight of `contains`, of a value that this client has added."""
    remove: Weight = 0
    """The weight of `remove`, of a value that this client has added."""
    readers: Annotated[int, Meta(ge=1)] = 5
    """How many clients read every set in the end: c1, c2, …"""

    def __post_init__(self) -> None:
        _check_weights(add=self.add, read=self.read, contains=self.contains, remove=self.remove)


def _check_weights(**weights: int) -> None:
    if not any(weights.values()):
        raise ValueError(f"the weights of {', '.join(weights)} are all 0: give one of them a positive weight")


class ContainerWorkload(Workload):
    """A weighted mix of operations on `keys` objects, and in the final phase `last_function` on each of them, until an
    answer shows that the client is done with it."""

    config: ContainerConfig
    mix: ClassVar[tuple[str, ...]]
    """The functions, which are the names of their weights in the config."""
    last_function: ClassVar[str]

    def __init__(self, config: ContainerConfig) -> None:
        super().__init__(config)
        weights = {function: getattr(config, function) for function in self.mix if getattr(config, function)}
        self._functions = tuple(weights)
        self._bounds = list(accumulate(weights.values()))
        self._counts: dict[NodeId, int] = {}
        self._finished: dict[NodeId, int] = {}
        """How many keys each client is done with, in the final phase."""

    def functions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._functions, self.last_function)))

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        function = self._functions[bisect_right(self._bounds, int(rng.random() * self._bounds[-1]))]
        return function, f"k{1 + int(rng.random() * self.config.keys)}", self.argument(function, client, rng)

    def argument(self, function: str, client: NodeId, rng: random.Random) -> str | None:
        """What `function` is given: a fresh value if it puts one in."""
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
        """Whether this answer to `last_function` says that a client is done with the object."""
        return outcome.value is None


class QueueWorkload(ContainerWorkload):
    """Enqueues and dequeues; in the end every queue is emptied."""

    mix = ("enqueue", "dequeue")
    last_function = "dequeue"


class StackWorkload(ContainerWorkload):
    """Pushes and pops; in the end every stack is emptied."""

    mix = ("push", "pop")
    last_function = "pop"


class SetWorkload(ContainerWorkload):
    """Adds, and maybe reads, removals and look-ups; in the end `readers` clients read every set."""

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
