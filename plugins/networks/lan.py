"""One local network: every link alike. `lan` is a healthy one, `lossy` one that drops, repeats and reorders."""

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
"""A quarter of a millisecond one way, as within a data centre; one message in a hundred takes twice as long."""


class LanConfig(LinkConfig):
    """A healthy network, unless told otherwise."""

    latency: Latency | None = None
    """The law of every delay, one way; null is {kind: lognormal, median: 250us, sigma: 0.3}."""


class LossyConfig(LanConfig):
    """A local network in a bad state."""

    loss: Probability = 0.02
    duplicate: Probability = 0.01
    reorder: Probability = 0.02
    reorder_delay: Duration = Duration("1ms")


class Lan(NetworkModel):
    """All links are alike and know nothing of one another."""

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
