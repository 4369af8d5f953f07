"""A workload of pairs: a client that has begun one is busy. A plugin in a loose file, for tests."""

from __future__ import annotations

import random

from framework import FinalPhaseConfig, Invocation, NodeId, Workload, WorkloadSpec, hookimpl


class Steps(Workload):
    """Pairs of operations; three operations in the end."""

    def __init__(self, config: FinalPhaseConfig) -> None:
        super().__init__(config)
        self.begun = self.last = 0

    def functions(self) -> tuple[str, ...]:
        return ("echo",)

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        self.begun += 1
        return "echo", None, f"pair {self.begun % 2}"

    def is_busy(self, client: NodeId) -> bool:
        return self.begun % 2 == 1

    def final(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        self.last += 1
        return ("echo", None, f"final {self.last}") if self.last <= 3 else None


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [WorkloadSpec(name="steps", workload=Steps, config=FinalPhaseConfig, summary="Pairs.")]
