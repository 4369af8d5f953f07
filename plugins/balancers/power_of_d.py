"""The least loaded of d servers drawn at random (Azar, Broder, Karlin and Upfal 1999; Mitzenmacher 2001)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from framework import Balancer, BalancerSpec, LoadConfig, NodeId, ServerTable, hookimpl, lightest


class PowerOfDConfig(LoadConfig):
    """The number of servers that are looked at."""

    d: Annotated[int, Meta(ge=1)] = 2
    """Servers drawn for each request, all different; 1 is a random choice."""


class PowerOfD(Balancer):
    """Two choices in place of one shorten the longest queue exponentially: the largest of n queues falls from
    ln n / ln ln n to ln ln n / ln d (Azar and others, theorem 1). More choices than two change little.

    Servers are drawn without regard to weights, which count when their loads are compared.
    """

    config: PowerOfDConfig

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        drawn = rng.sample(servers, min(self.config.d, len(servers)))
        return lightest(drawn, table, self.config, rng)


@hookimpl
def register_balancers() -> list[BalancerSpec]:
    return [
        BalancerSpec(
            name="power_of_d", balancer=PowerOfD, config=PowerOfDConfig,
            summary="The least loaded of d servers drawn at random (Mitzenmacher, 2001).",
        )
    ]  # fmt: skip
