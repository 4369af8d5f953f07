"""A server at random, whatever its load."""

from __future__ import annotations

import random
from collections.abc import Sequence

from framework import Balancer, BalancerSpec, NodeId, ServerTable, hookimpl, weighted_choice


class RandomChoice(Balancer):
    """Chooses with probabilities proportional to the weights. With n requests at n servers of equal weight, the largest
    number at one is about ln n / ln ln n."""

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        return weighted_choice(servers, table, rng)


@hookimpl
def register_balancers() -> list[BalancerSpec]:
    return [
        BalancerSpec(name="random", balancer=RandomChoice, summary="A server at random, in proportion to the weights.")
    ]
