"""A network that delivers every message after the same short delay."""

from __future__ import annotations

import random

from framework import Config, ConstantLink, Duration, Link, NetworkModel, NetworkSpec, NodeId, hookimpl


class PerfectConfig(Config):
    """The delay of every link."""

    latency: Duration = Duration("500us")
    """One-way delay in the simulator; on Ray nothing is added to the delay of the real network."""

    def __post_init__(self) -> None:
        if self.latency <= 0:
            raise ValueError("`latency` must be positive: a link without delay would stop simulated time")


class Perfect(NetworkModel):
    """Constant delays without loss. An engine with a real network leaves its messages untouched."""

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
