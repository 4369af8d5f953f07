"""Clients of a key-value store: a mix of operations over keys with a configurable popularity.

Every written value is unique within the run, so that a history shows which write a read saw. A client's next operation
depends only on its own random stream and its own past, never on other clients.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from itertools import accumulate
from typing import Annotated, Literal

from msgspec import Meta, structs

from framework import (
    Config,
    Invocation,
    KeyPopularity,
    NodeId,
    Workload,
    WorkloadConfig,
    WorkloadSpec,
    hookimpl,
    zipf_weights,
)

Weight = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0, lt=1)]


class Mix(Config):
    """The weights of the operations: `{read: 9, write: 1}` makes nine reads for each write."""

    read: Weight = 50
    write: Weight = 50
    cas: Weight = 0
    append: Weight = 0
    delete: Weight = 0

    def __post_init__(self) -> None:
        if not any(structs.astuple(self)):
            raise ValueError("every weight is 0: give one operation a positive weight, as in {read: 1}")


class KeyValueConfig(WorkloadConfig):
    """The keys, the operations, and the size of the values."""

    keys: Annotated[int, Meta(ge=1)] = 10
    """Number of keys: k1, k2, …"""
    distribution: Literal["uniform", "zipf", "hotspot"] = "uniform"
    """Popularity of the keys: equal; by Zipf's law, with k1 most popular; or a few hot keys and the rest."""
    theta: Annotated[float, Meta(ge=0, le=10)] = 0.99
    """zipf: the key of rank r is chosen with a probability proportional to 1 / r**theta."""
    hot_keys: Share = 0.1
    """hotspot: fraction of the keys that is hot (at least one key, at most all but one)."""
    hot_operations: Share = 0.9
    """hotspot: fraction of the operations that goes to hot keys."""
    mix: Mix = Mix()
    value_size: Annotated[int, Meta(ge=0, le=1 << 24)] = 16
    """Bytes of a written value; more if a unique value needs more. Appended strings are not padded."""


class KeyValueWorkload(Workload):
    """Reads, writes, compare-and-sets, appends and deletes on `keys` keys."""

    config: KeyValueConfig

    def __init__(self, config: KeyValueConfig) -> None:
        super().__init__(config)
        weights: dict[str, int] = {name: weight for name, weight in structs.asdict(config.mix).items() if weight}
        self._functions = tuple(weights)
        self._bounds = list(accumulate(weights.values()))
        self._keys = KeyPopularity(config.keys, _popularity(config))
        self._counts: dict[NodeId, int] = {}
        self._guesses: dict[tuple[NodeId, str], str | None] = {}

    def functions(self) -> tuple[str, ...]:
        return self._functions

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        function = self._functions[bisect_right(self._bounds, int(rng.random() * self._bounds[-1]))]
        key = self._keys.draw(rng)
        if function == "read":
            return function, key, None
        if function == "write":
            return function, key, self._guess(client, key, self._unique(client).ljust(self.config.value_size, "."))
        if function == "append":
            return function, key, self._unique(client) + " "
        if function == "delete":
            return function, key, self._guess(client, key, None)
        old = self._guesses.get((client, key))
        return function, key, (old, self._guess(client, key, self._unique(client).ljust(self.config.value_size, ".")))

    def _unique(self, client: NodeId) -> str:
        count = self._counts[client] = self._counts.get(client, 0) + 1
        return f"{client}.{count}"

    def _guess(self, client: NodeId, key: str, value: str | None) -> str | None:
        """Returns `value`, and records it as the value that `client` expects at `key` in its next compare-and-set."""
        if self.config.mix.cas:
            self._guesses[client, key] = value
        return value


def _popularity(config: KeyValueConfig) -> list[float]:
    """Returns a weight for each key; an empty list if all are equal."""
    if config.distribution == "zipf":
        return zipf_weights(config.keys, config.theta)
    if config.distribution == "hotspot" and config.keys > 1:
        hot = min(max(1, round(config.hot_keys * config.keys)), config.keys - 1)
        warm = config.keys - hot
        return [config.hot_operations / hot] * hot + [(1 - config.hot_operations) / warm] * warm
    return []


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="kv", workload=KeyValueWorkload, config=KeyValueConfig,
            summary="Reads, writes, compare-and-set, append and delete on a set of keys.",
        )
    ]  # fmt: skip
