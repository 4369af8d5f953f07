"""Disk faults: slow disks, a failed fsync, full disks, and loss of acknowledged records."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from framework import (
    ClusterView,
    ConfigError,
    Crash,
    DiskProblem,
    Duration,
    FaultSpec,
    Injection,
    NodeId,
    Restart,
    SetDisk,
    TargetConfig,
    TargetedFault,
    hookimpl,
)


class DiskConfig(TargetConfig):
    """The problem of the disk."""

    trouble: DiskProblem = "slow"
    """`slow`: each commit takes `latency` longer. `failed_fsync`: the next fsync fails and crashes the node, without a
    retry; the node restarts when the fault ends. `full`: the next commit finds no room and crashes the node; there is
    room again when the fault ends. `damage`: the node crashes and an acknowledged record is damaged, so its restart is
    refused and it stays down. At most a minority of the nodes is ever damaged."""
    latency: Duration = Duration("50ms")
    """slow: additional time of each commit."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trouble == "slow" and not self.latency:
            raise ValueError("latency=0 is not slow: give it a time, as in 50ms")


class DiskFault(TargetedFault):
    """Breaks disks, and repairs them where possible."""

    config: DiskConfig

    def disables_target(self) -> bool:
        return self.config.trouble != "slow"

    def validate_nodes(self, key: str, nodes: Sequence[NodeId], spares: Sequence[NodeId]) -> None:
        super().validate_nodes(key, nodes, spares)
        if self.config.trouble == "damage" and len(nodes) < 3:
            raise ConfigError(
                f"{key}.trouble=damage", f"would leave no majority of {len(nodes)} nodes", "Write nodes=3."
            )

    def inject(self, view: ClusterView) -> Injection | None:
        nodes = view.select(self.config.target)
        if self.config.trouble == "damage":
            nodes = nodes[: max(0, (len(view.nodes) - 1) // 2 - len(view.lost))]
        if not nodes:
            return None
        return Injection(self._does(nodes), self._undoes(nodes), nodes, f"{self.config.trouble}: {' '.join(nodes)}")

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        trouble = rng.choice(("slow", "slow", "failed_fsync", "failed_fsync", "full", "damage"))
        target = rng.choice(("leader", "random", "random"))
        return {"trouble": trouble, "target": target, "latency": rng.choice(("2ms", "20ms", "100ms"))}

    def _does(self, nodes: Sequence[NodeId]) -> tuple[Crash | SetDisk, ...]:
        trouble = self.config.trouble
        sets = [SetDisk(node, trouble, int(self.config.latency) if trouble == "slow" else 0) for node in nodes]
        crashes = [Crash(node) for node in nodes] if trouble == "damage" else []
        return (*crashes, *sets)

    def _undoes(self, nodes: Sequence[NodeId]) -> tuple[Restart | SetDisk, ...]:
        mended = [] if self.config.trouble == "damage" else [SetDisk(node, "none") for node in nodes]
        restarts = [] if self.config.trouble == "slow" else [Restart(node) for node in nodes]
        return (*mended, *restarts)


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(
            name="disk", fault=DiskFault, config=DiskConfig,
            summary="Disks are slow, fail an fsync, are full, or damage what they hold.",
        )
    ]  # fmt: skip
