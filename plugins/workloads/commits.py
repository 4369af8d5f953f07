"""Transactions for protocols of atomic commitment: each names its participants, and how each of them would vote."""

from __future__ import annotations

import random
from typing import Annotated

from msgspec import Meta

from framework import PARTICIPANT, Invocation, NodeId, Probability, Workload, WorkloadConfig, WorkloadSpec, hookimpl


class CommitsConfig(WorkloadConfig):
    """The participants of a transaction, their votes, and what it locks."""

    span: Annotated[int, Meta(ge=0)] = 0
    """Number of participants of a transaction, drawn anew for each; 0: all."""
    no: Probability = 0.05
    """Probability that a participant votes no."""
    read_only: Probability = 0.0
    """Probability that a participant votes read-only."""
    keys: Annotated[int, Meta(ge=0)] = 1_000
    """Number of keys: a transaction writes one, and a participant votes no while another one holds it. 0: no locks."""

    def __post_init__(self) -> None:
        if self.no + self.read_only > 1:
            raise ValueError("`no` and `read_only` add up to more than 1: lower one of them")


class CommitsWorkload(Workload):
    """Transactions over the nodes with the role `participant`."""

    config: CommitsConfig

    def functions(self) -> tuple[str, ...]:
        return ("commit",)

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        config, everyone = self.config, self.roles[PARTICIPANT]
        span = min(config.span, len(everyone)) or len(everyone)
        chosen = rng.sample(everyone, span) if config.span else everyone
        key = f"k{1 + int(rng.random() * config.keys)}" if config.keys else None
        return "commit", key, tuple((node, self._vote(rng.random())) for node in chosen)

    def _vote(self, drawn: float) -> str:
        if drawn < self.config.no:
            return "no"
        return "read-only" if drawn < self.config.no + self.config.read_only else "yes"


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="commits",
            workload=CommitsWorkload,
            config=CommitsConfig,
            summary="Transactions on which several participants vote.",
        )
    ]
