"""Clients of a cache: they get keys, put those that are missing, and now and then put one anew; caches join and
leave."""

from __future__ import annotations

import random
from typing import Annotated, Literal

from msgspec import Meta

from framework import (
    Config,
    ConfigError,
    Duration,
    FinalPhaseConfig,
    Invocation,
    KeyPopularity,
    NodeId,
    Ok,
    Operation,
    Outcome,
    Probability,
    Workload,
    WorkloadSpec,
    did_you_mean,
    hookimpl,
    zipf_weights,
)

CACHE = "cache"
"""The role of the nodes that join and leave."""


class CacheChange(Config):
    """A cache joins or leaves: `{at: 3s, do: leave, cache: n3}`."""

    at: Duration
    do: Literal["join", "leave"]
    cache: str


class CacheWorkloadConfig(FinalPhaseConfig):
    """The keys and their popularity, the changes of the caches."""

    keys: Annotated[int, Meta(ge=1)] = 10_000
    """Number of keys: k1, k2, …"""
    theta: Annotated[float, Meta(ge=0, le=10)] = 0.9
    """The key of rank r is chosen with a probability proportional to 1 / r**theta (Zipf's law); 0: all alike."""
    put: Probability = 0.05
    """Probability that a client puts a new value instead of getting one. It also puts each key that it did not find."""
    changes: tuple[CacheChange, ...] = ()
    """Caches that join and leave at certain times."""
    churn: Duration = Duration("0s")
    """Time after which a cache drawn at random leaves, or one that has left joins again, and so on; 0: never."""
    least: Annotated[int, Meta(ge=1)] = 2
    """Number of caches that churn leaves."""

    def validate_nodes(self, key: str, nodes: tuple[NodeId, ...]) -> None:
        for number, change in enumerate(self.changes):
            if change.cache not in nodes:
                fix = did_you_mean(change.cache, nodes)
                raise ConfigError(f"{key}.changes.{number}.cache={change.cache}", "there is no such node", fix)


class CacheWorkload(Workload):
    """Gets, and puts of what was not found. Client c1 also asks for the changes."""

    config: CacheWorkloadConfig

    def __init__(self, config: CacheWorkloadConfig) -> None:
        super().__init__(config)
        self._keys = KeyPopularity(config.keys, zipf_weights(config.keys, config.theta) if config.theta else ())
        self._missing: dict[NodeId, str] = {}
        self._counts: dict[NodeId, int] = {}
        self._changes = sorted(config.changes, key=lambda change: change.at)
        self._gone: list[NodeId] = []
        self._churned = 0
        self._reported = False

    def functions(self) -> tuple[str, ...]:
        return ("get", "put", "join", "leave", "report")

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        if client == "c1":
            change = self._change(now, rng)
            if change is not None:
                return change
        missing = self._missing.pop(client, None)
        if missing is not None or rng.random() < self.config.put:
            return "put", missing or self._keys.draw(rng), self._unique(client)
        return "get", self._keys.draw(rng), None

    def _change(self, now: int, rng: random.Random) -> Invocation | None:
        if self._changes and self._changes[0].at <= now:
            change = self._changes.pop(0)
            return change.do, change.cache, None
        churn = int(self.config.churn)
        if not churn or now < self._churned + churn:
            return None
        self._churned = now
        here = [node for node in self.roles[CACHE] if node not in self._gone]
        if self._gone and (len(here) <= self.config.least or rng.random() < 0.5):
            return "join", self._gone.pop(rng.randrange(len(self._gone))), None
        if len(here) <= self.config.least:
            return None
        self._gone.append(rng.choice(here))
        return "leave", self._gone[-1], None

    def completed(self, client: NodeId, operation: Operation, outcome: Outcome) -> None:
        if operation.function == "get" and isinstance(outcome, Ok) and outcome.value[0] is None:
            self._missing[client] = operation.key or ""

    def final(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        if client != "c1" or self._reported:
            return None
        self._reported = True
        return "report", None, None

    def _unique(self, client: NodeId) -> str:
        count = self._counts[client] = self._counts.get(client, 0) + 1
        return f"{client}.{count}"


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="cache", workload=CacheWorkload, config=CacheWorkloadConfig,
            summary="Gets, puts of what was not found, and caches that join and leave.",
        )
    ]  # fmt: skip
