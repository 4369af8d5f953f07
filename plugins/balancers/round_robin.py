"""Servers in turn, each as often as its weight says (the smooth weighted round-robin of nginx, 2012)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from framework import Balancer, BalancerConfig, BalancerSpec, NodeId, ServerTable, hookimpl


class RoundRobin(Balancer):
    """Each choice gives every server its weight in credit; the one with the most credit is chosen, and pays the sum of
    the weights. So the turns of a heavy server are spread over the round: with weights 5, 1 and 1 the order is a a b a
    c a a.
    """

    def __init__(self, config: BalancerConfig) -> None:
        super().__init__(config)
        self.credit: dict[NodeId, float] = {}

    def on_server_added(self, server: NodeId, weight: float) -> None:
        self.credit[server] = 0.0

    def on_server_removed(self, server: NodeId) -> None:
        del self.credit[server]

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        for server in servers:
            self.credit[server] += table.weights[server]
        chosen = max(servers, key=self.credit.__getitem__)  # of equals the first
        self.credit[chosen] -= sum(table.weights[server] for server in servers)
        return chosen


@hookimpl
def register_balancers() -> list[BalancerSpec]:
    return [
        BalancerSpec(
            name="round_robin", balancer=RoundRobin, summary="Servers in turn, each as often as its weight says."
        )
    ]
