"""Join-Idle-Queue (Lu, Xie, Kliot, Geller, Larus and Greenberg, Performance Evaluation 68, 2011)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from framework import Balancer, BalancerConfig, BalancerSpec, NodeId, ServerTable, hookimpl, weighted_choice


class JoinIdleQueue(Balancer):
    """A server that becomes idle reports itself to one dispatcher, at random, whose queue of idle servers it joins. A
    request goes to the first server of that queue, or if it is empty to a server at random (section 2, JIQ-Random).

    So nothing is asked while a request waits, and loads are not compared: all that is known of a server is that it was
    idle when it reported. A request of another dispatcher may have reached it since.
    """

    wants_idle_reports = True

    def __init__(self, config: BalancerConfig) -> None:
        super().__init__(config)
        self.idle: list[NodeId] = []
        """Idle servers, each once, in the order of their reports."""

    def on_idle(self, server: NodeId) -> None:
        if server not in self.idle:
            self.idle.append(server)

    def on_server_removed(self, server: NodeId) -> None:
        if server in self.idle:
            self.idle.remove(server)

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        for server in self.idle:
            if server in servers:
                self.idle.remove(server)
                return server
        return weighted_choice(servers, table, rng)


@hookimpl
def register_balancers() -> list[BalancerSpec]:
    return [
        BalancerSpec(
            name="join_idle_queue", balancer=JoinIdleQueue,
            summary="A server that has reported itself idle, else one at random (Lu and others, 2011).",
        )
    ]  # fmt: skip
