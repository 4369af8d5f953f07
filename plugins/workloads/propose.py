"""Racing clients: each proposes a unique value for its current instance of consensus.

All clients advance through the same instances, i1, i2, …, at the pace of their own operations. A client that is ahead
waits for a decision, and a client that is behind learns an earlier decision at once. So they stay together and keep
racing.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Annotated

from msgspec import Meta

from framework import Invocation, NodeId, Workload, WorkloadConfig, WorkloadSpec, hookimpl


class ProposeConfig(WorkloadConfig):
    """The number of open instances, and how soon clients move on to the next ones."""

    keys: Annotated[int, Meta(ge=1)] = 1
    """Number of open instances; a client draws one of them for each proposal."""
    proposals: Annotated[int, Meta(ge=0)] = 1
    """Proposals of a client for each instance before it moves on to the next ones; 0: it never moves on."""


class ProposeWorkload(Workload):
    """Proposals of unique values."""

    config: ProposeConfig

    def __init__(self, config: ProposeConfig) -> None:
        super().__init__(config)
        self._counts: Counter[NodeId] = Counter()

    def functions(self) -> tuple[str, ...]:
        return ("propose",)

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        keys, proposals = self.config.keys, self.config.proposals
        count = self._counts[client]
        self._counts[client] += 1
        left_behind = keys * (count // (keys * proposals)) if proposals else 0
        return "propose", f"i{left_behind + 1 + int(rng.random() * keys)}", f"{client}.{count + 1}"


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="propose",
            workload=ProposeWorkload,
            config=ProposeConfig,
            summary="Proposals of several clients for the same instance of consensus, one instance after another.",
        )
    ]
