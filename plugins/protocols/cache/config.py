"""Settings of the cache."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from msgspec import Meta

from framework import (
    Config,
    ConfigError,
    Duration,
    HashPartitioner,
    Member,
    NodeId,
    Partitioner,
    PlacementChoice,
    did_you_mean,
)

DIRECTORY = "directory"
"""The role of the node that keeps the list of caches."""
CACHE = "cache"
"""The role of the nodes that hold entries."""

Positive = Annotated[int, Meta(ge=1)]


class CacheConfig(Config):
    """Where entries are, how many, and how a missing cache is noticed."""

    placement: PlacementChoice | None = None
    """Chosen by the config group `placement`: which cache holds a shard."""
    partitioner: Partitioner = HashPartitioner(shards=1024)
    """Which shard a key belongs to."""
    weights: dict[str, Annotated[float, Meta(gt=0)]] = {}
    """Weights of caches, 1 for those that are not named: `{n2: 2.0}`. They need a placement that knows weights."""
    late: tuple[str, ...] = ()
    """Nodes that are not caches at first: they wait until a client adds them."""
    capacity: Positive = 10_000
    """Entries of a cache; beyond it the longest unused one goes."""
    handoff: bool = True
    """Whether a cache sends the entries that it loses to the caches that have them from now on. Otherwise they are
    lost."""
    chunk: Positive = 100
    """Entries of one message of such a handoff."""
    heartbeat: Duration = Duration("50ms")
    """Time between two heartbeats of a cache."""
    dead_after: Duration = Duration("250ms")
    """Silence after which the directory considers a cache dead."""
    retry: Duration = Duration("100ms")
    """Time that a client waits for an answer before it asks again, and asks for the list of caches."""

    def __post_init__(self) -> None:
        for name in ("heartbeat", "dead_after", "retry"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} leaves no time: give more than 0")
        if self.dead_after <= self.heartbeat:
            raise ValueError(
                f"dead_after={self.dead_after} would declare caches dead that send heartbeats every {self.heartbeat}: give more"
            )

    def validate_nodes(self, key: str, nodes: tuple[NodeId, ...]) -> None:
        for field, named in (("weights", self.weights), ("late", self.late)):
            for node in named:
                if node not in nodes[1:]:
                    raise ConfigError(f"{key}.{field}", f"there is no cache {node}", did_you_mean(node, nodes[1:]))
        if set(self.late) >= set(nodes[1:]):
            raise ConfigError(f"{key}.late", "leaves no cache to begin with", "Name fewer.")
        try:
            shards_of(self, nodes[1:])
        except ValueError as error:
            assert self.placement is not None
            raise ConfigError(
                f"placement={self.placement.name}", str(error), "Change it, or the protocol's settings."
            ) from error


def shards_of(config: CacheConfig, caches: tuple[NodeId, ...]) -> tuple[NodeId, ...]:
    """Returns the cache of each shard; nothing without caches. Raises ValueError if the placement cannot have these."""
    if not caches:
        return ()
    assert config.placement is not None, "a run that lacks one is refused"
    weights = tuple(sorted(config.weights.items()))
    return _shards_of(config.placement, config.partitioner.count, weights, caches)


@lru_cache(maxsize=64)  # nodes and clients of one process ask for the same
def _shards_of(
    choice: PlacementChoice, shards: int, weights: tuple[tuple[NodeId, float], ...], caches: tuple[NodeId, ...]
) -> tuple[NodeId, ...]:
    placement = choice.make(caches, {node: Member(node, weight) for node, weight in weights})
    placement.place(range(shards))
    found = placement.locate_many(placement.hash_many(range(shards)))[:, 0]
    return tuple(placement.nodes[index] for index in found.tolist())
