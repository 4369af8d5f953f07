"""A network that does nothing but deliver, each message after the same short delay."""

from __future__ import annotations

import random

from framework import Config, ConstantLink, Duration, Link, NetworkModel, NetworkSpec, NodeId, hookimpl


class PerfectConfig(Config):
    """The delay of every link."""

    latency: Duration = Duration("500us")
    """One way, in the simulator; on Ray nothing is added to what the real network takes."""

    def __post_init__(self) -> None:
        if self.latency <= 0:
            raise ValueError("`latency` must be positive: a link without delay would stop simulated time")


class Perfect(NetworkModel):
    """Constant delays, no loss. An engine with a network of its own leaves its messages alone."""

    simulated_only = True

    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        return ConstantLink(int(self.config.latency))


@hookimpl
def register_network_models() -> list[NetworkSpec]:
    return [
        NetworkSpec(
            name="perfect",
            model=Perfect,
            config=PerfectConfig,
            summary="Delivers everything, 0.5 ms later (on Ray: at once).",
        )
    ]
