"""Local networks with identical links. `lan` is healthy; `lossy` drops, duplicates and reorders messages."""

from __future__ import annotations

import random

from framework import (
    Duration,
    Latency,
    Link,
    LinkConfig,
    Lognormal,
    NetworkModel,
    NetworkSpec,
    NodeId,
    Probability,
    hookimpl,
    make_link,
)

LATENCY = Lognormal(median=Duration("250us"), sigma=0.3)
"""One-way delay within a data centre: a quarter of a millisecond; one in a hundred messages takes twice as long."""


class LanConfig(LinkConfig):
    """A local network, healthy by default."""

    latency: Latency | None = None
    """Distribution of the one-way delay; null means {kind: lognormal, median: 250us, sigma: 0.3}."""


class LossyConfig(LanConfig):
    """A local network that drops, duplicates and reorders messages."""

    loss: Probability = 0.02
    duplicate: Probability = 0.01
    reorder: Probability = 0.02
    reorder_delay: Duration = Duration("1ms")


class Lan(NetworkModel):
    """A network whose links are identical and independent of each other."""

    def __init__(self, config: LanConfig, nodes: tuple[NodeId, ...], clients: tuple[NodeId, ...]) -> None:
        super().__init__(config, nodes, clients)
        self.needs_size = config.bandwidth is not None
        self._delay = (config.latency or LATENCY).build()

    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        return make_link(self.config, self._delay, rng)


@hookimpl
def register_network_models() -> list[NetworkSpec]:
    return [
        NetworkSpec(name="lan", model=Lan, config=LanConfig, summary="A data centre: about 0.25 ms one way, no loss."),
        NetworkSpec(
            name="lossy", model=Lan, config=LossyConfig,
            summary="A data centre in a bad state: 2% lost, 1% twice, 2% out of order.",
        ),
    ]  # fmt: skip
