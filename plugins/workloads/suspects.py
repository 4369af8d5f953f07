"""Questions to failure detectors: each client asks now and then whom a node suspects."""

from __future__ import annotations

import random

from framework import Duration, Invocation, NodeId, Workload, WorkloadConfig, WorkloadSpec, hookimpl


class SuspectsConfig(WorkloadConfig):
    """The settings of clients that ask for suspicions."""

    think_time: Duration = Duration("50ms")


class SuspectsWorkload(Workload):
    """The question is always the same; the client chooses the node."""

    config: SuspectsConfig

    def functions(self) -> tuple[str, ...]:
        return ("suspects",)

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        return "suspects", None, None


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="suspects",
            workload=SuspectsWorkload,
            config=SuspectsConfig,
            summary="Clients ask the nodes whom they suspect.",
        )
    ]
