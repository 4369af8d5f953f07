"""A workload of short texts for echo protocols."""

import random
from typing import Annotated

from msgspec import Meta

from framework import Invocation, NodeId, Workload, WorkloadConfig, WorkloadSpec, hookimpl

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class EchoWorkloadConfig(WorkloadConfig):
    """The length of the texts."""

    length: Annotated[int, Meta(ge=1)] = 8
    """Number of letters in a text."""


class EchoWorkload(Workload):
    config: EchoWorkloadConfig

    def functions(self) -> tuple[str, ...]:
        return ("echo",)

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        return "echo", None, "".join(rng.choices(_LETTERS, k=self.config.length))


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="echo",
            workload=EchoWorkload,
            config=EchoWorkloadConfig,
            summary="Short texts to be said back.",
        )
    ]
