"""Workloads say what clients do; the load generator says when, and which client does it.

Closed loop: each client starts its next operation when the last one ended (and it has thought). Open loop: operations
fall due at a rate whatever the system does, a pool of sessions runs them, and latency counts from when one was due.
"""

from __future__ import annotations

import heapq
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from framework.core.client import Operation
from framework.core.distributions import Constant, Distribution, Exponential
from framework.core.message import Config, NodeId, Record
from framework.core.state_machine import Value
from framework.core.time import NEVER, SECOND, Duration


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


class Assignment(Record, array_like=False):
    """An operation for a client: `scheduled` is when it was due (nanoseconds of the run)."""

    client: NodeId
    process: int
    operation: Operation
    scheduled: int


class Load:
    """The load generator of one client actor: no clock, no I/O; the engine asks when `next_at` has come.

    `clients` are the clients that this generator serves, `first` the index of the first among all `total` clients
    of the run. Operations start at `start` and none starts at or after `stop`, not even one that fell due earlier.
    `stream(purpose, entity)` gives the seeded random streams.
    """

    _ARRIVAL: ClassVar[int] = -1

    def __init__(
        self,
        workload: Workload,
        clients: Sequence[NodeId],
        stream: Callable[[str, str], random.Random],
        *,
        stop: int,
        start: int = 0,
        first: int = 0,
        total: int | None = None,
    ) -> None:
        self.workload = workload
        self.clients = tuple(clients)
        self.stop = stop
        self.started = 0
        self._total = total if total is not None else len(self.clients)
        self._first = first
        self._open = workload.config.loop == "open"
        self._turns: list[tuple[int, int]] = []  # (time, client index | _ARRIVAL)
        self._idle: deque[int] = deque(range(len(self.clients)))
        self._backlog: deque[tuple[int, tuple[str, str | None, Value]]] = deque()
        self._processes = [first + index for index in range(len(self.clients))]
        if self._open:
            self._arrival_rng = stream("arrivals", self.clients[0])
            self._operation_rng = stream("workload", self.clients[0])
            self._gap = _gap(workload.config, len(self.clients), self._total)
            self._turns.append((start + self._next_gap(), self._ARRIVAL))
        else:
            self._rngs = [stream("workload", client) for client in self.clients]
            self._turns = [(start, index) for index in range(len(self.clients))]
        self.next_at = self._next_turn()

    def due(self, now: int) -> list[Assignment]:
        """The operations to invoke now, in order; sets `next_at`."""
        assignments: list[Assignment] = []
        if now >= self.stop:
            self.next_at = NEVER
            return assignments
        turns = self._turns
        while turns and turns[0][0] <= now:
            at, index = heapq.heappop(turns)
            if index == self._ARRIVAL:
                client = self.clients[self._idle[0]] if self._idle else self.clients[0]
                self._backlog.append((at, self.workload.next(client, self._operation_rng)))
                heapq.heappush(turns, (at + self._next_gap(), self._ARRIVAL))
            elif not self._open:
                call = self.workload.next(self.clients[index], self._rngs[index])
                assignments.append(self._assign(index, call, at))
        while self._backlog and self._idle and self._open:
            scheduled, call = self._backlog.popleft()
            assignments.append(self._assign(self._idle.popleft(), call, scheduled))
        self.next_at = self._next_turn()
        return assignments

    def completed(self, client: int, now: int, *, retired: bool) -> None:
        """Client number `client` (of this generator) is free again; `retired`: under a new process id."""
        if retired:
            self._processes[client] += self._total
        if self._open:
            self._idle.append(client)
            if self._backlog and now < self.stop:
                self.next_at = min(self.next_at, now)
        else:
            at = now + self.workload.config.think_time
            if at < self.stop:
                heapq.heappush(self._turns, (at, client))
                self.next_at = min(self.next_at, at)

    @property
    def waiting(self) -> int:
        """Operations that fell due and have no client yet; those that wait at `stop` are never invoked."""
        return len(self._backlog)

    def _assign(self, index: int, call: tuple[str, str | None, Value], scheduled: int) -> Assignment:
        operation = Operation(self.started * self._total + self._first, *call)
        self.started += 1
        return Assignment(self.clients[index], self._processes[index], operation, scheduled)

    def _next_turn(self) -> int:
        return self._turns[0][0] if self._turns and self._turns[0][0] < self.stop else NEVER

    def _next_gap(self) -> int:
        return self._gap.sample(self._arrival_rng)


def _gap(config: WorkloadConfig, clients: int, total: int) -> Distribution:
    """The time between two arrivals at `clients` of the `total` clients of a run."""
    second, least = Duration(SECOND), Duration(1)
    fixed, poisson = Constant(delay=second, minimum=least), Exponential(mean=second, minimum=least)
    law = fixed if config.arrivals == "fixed" else poisson
    return law.scaled(Fraction(total, clients) / Fraction(config.rate))
