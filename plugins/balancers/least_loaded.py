"""The server with the least load, among all: the shortest queue."""

from __future__ import annotations

import random
from collections.abc import Sequence

from framework import Balancer, BalancerSpec, LoadConfig, NodeId, ServerTable, hookimpl, lightest


class LeastLoaded(Balancer):
    """Looks at all servers. With its own counts and one dispatcher this is joining the shortest queue. With reports
    that are old, all requests between two reports go to the server that was the least loaded at the first: the herd."""

    config: LoadConfig

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        return lightest(servers, table, self.config, rng)


@hookimpl
def register_balancers() -> list[BalancerSpec]:
    return [
        BalancerSpec(
            name="least_loaded", balancer=LeastLoaded, config=LoadConfig, summary="The least loaded of all servers."
        )
    ]
