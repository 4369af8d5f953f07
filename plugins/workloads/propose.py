"""Clients that race: each proposes a value of its own, unlike all others, for the instance of consensus that it has come to.

All walk through the same instances, i1, i2, …, in step with their own operations. Who is ahead waits for a decision,
and who is behind is told at once what was decided, so that they stay together and race again and again.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Annotated

from msgspec import Meta

from framework import Invocation, NodeId, Workload, WorkloadConfig, WorkloadSpec, hookimpl


class ProposeConfig(WorkloadConfig):
    """How many instances are in play, and how soon clients leave them for the next."""

    keys: Annotated[int, Meta(ge=1)] = 1
    """A client proposes for any of this many instances, drawn anew each time."""
    proposals: Annotated[int, Meta(ge=0)] = 1
    """After as many proposals for each of them it goes on to the next; 0: it stays with the first for ever."""


class ProposeWorkload(Workload):
    """Proposals."""

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
