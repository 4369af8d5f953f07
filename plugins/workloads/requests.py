"""Requests to a service, in an open loop: they come at a rate, whether earlier ones are answered or not."""

from __future__ import annotations

import random
from typing import Annotated, Literal

from msgspec import Meta

from framework import Invocation, KeyPopularity, NodeId, Workload, WorkloadConfig, WorkloadSpec, hookimpl, zipf_weights


class RequestsConfig(WorkloadConfig):
    """The loop, and the keys of the requests."""

    loop: Literal["closed", "open"] = "open"
    keys: Annotated[int, Meta(ge=0)] = 1_000
    """Number of keys: k1, k2, … 0: requests have no key."""
    skew: Annotated[float, Meta(ge=0, le=5)] = 0.0
    """The popularity of keys: that of the key with the number i is proportional to i to the power of -skew (Zipf). 0:
    all are alike."""


class RequestsWorkload(Workload):
    """Requests whose keys are drawn by popularity."""

    config: RequestsConfig

    def __init__(self, config: RequestsConfig) -> None:
        super().__init__(config)
        self._keys = KeyPopularity(
            config.keys, zipf_weights(config.keys, config.skew) if config.keys and config.skew else ()
        )

    def functions(self) -> tuple[str, ...]:
        return ("serve",)

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        return "serve", self._keys.draw(rng) if self.config.keys else None, None


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="requests", workload=RequestsWorkload, config=RequestsConfig,
            summary="Requests to a service, at a rate, with keys of different popularity.",
        )
    ]  # fmt: skip
