"""Requests by key: a placement says which server a key prefers, so that requests with one key meet at one server, or,
with bounded loads (Mirrokni, Thorup and Zadimoghaddam, SODA 2018), at one of few."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta

from framework import (
    Balancer,
    BalancerConfig,
    BalancerSpec,
    NodeId,
    Placement,
    PlacementChoice,
    ServerTable,
    hookimpl,
)


class ConsistentHashConfig(BalancerConfig):
    """The placement of keys."""

    placement: PlacementChoice = PlacementChoice("ring")
    """The placement that says which servers a key prefers: any but those that must know all keys beforehand."""

    def __post_init__(self) -> None:
        kind = self.placement.placement
        if kind is not None and kind.places_known_ids:
            name = self.placement.name
            raise ValueError(f"placement {name} must know all keys beforehand, and requests bring new ones: use ring")


class ConsistentHash(Balancer):
    """Chooses the first server in the preference of the key. A server that is set aside, or avoided by a retry, loses
    its keys to the next ones in their preferences, and has them back later; all other keys stay where they are. A
    request without a key goes anywhere."""

    config: ConsistentHashConfig

    def __init__(self, config: ConsistentHashConfig) -> None:
        super().__init__(config)
        self._placement: Placement | None = None
        self._placed: dict[NodeId, float] = {}

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        return next(server for server in self.preferences(key, table, rng) if server in servers)

    def preferences(self, key: str | None, table: ServerTable, rng: random.Random) -> Iterator[NodeId]:
        """Yields all servers of the table, in the order of the key's preference; of a random one without a key."""
        placement = self._current(table)
        hash = rng.getrandbits(64) if key is None else placement.hash(key)
        nodes = placement.nodes
        return (nodes[index] for index in placement.preferences(hash))

    def _current(self, table: ServerTable) -> Placement:
        """Returns the placement on the servers of the table."""
        if self._placement is None or self._placed != table.weights:
            self._placement, self._placed = self.config.placement.make_weighted(table.weights), dict(table.weights)
        return self._placement


class BoundedLoadConfig(ConsistentHashConfig):
    """The placement of keys, and the bound."""

    balance: Annotated[float, Meta(ge=1)] = 1.25
    """c: no server has more than ⌈c·m·w/Σw⌉ of m outstanding requests, w being its weight. The nearer to 1, the more
    requests leave the server that their key prefers."""


class BoundedLoad(ConsistentHash):
    """Chooses the first server in the preference of the key that is not full. Requests with a hot key fill one server,
    then the next. The bound counts the dispatcher's own requests, this one included: each dispatcher keeps to it by
    itself.
    """

    config: BoundedLoadConfig

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        total = sum(table.outstanding[server] for server in servers) + 1
        weight = math.fsum(table.weights[server] for server in servers)
        share = self.config.balance * total / weight
        return next(
            server
            for server in self.preferences(key, table, rng)
            if server in servers and table.outstanding[server] < math.ceil(share * table.weights[server])
        )


@hookimpl
def register_balancers() -> list[BalancerSpec]:
    return [
        BalancerSpec(
            name="consistent_hash", balancer=ConsistentHash, config=ConsistentHashConfig,
            summary="The server of the request's key, by any placement.",
        ),
        BalancerSpec(
            name="bounded_load", balancer=BoundedLoad, config=BoundedLoadConfig,
            summary="The server of the request's key, unless it is full (Mirrokni and others, 2018).",
        ),
    ]  # fmt: skip
