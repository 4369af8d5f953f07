"""Crash and pause faults: nodes crash and restart, or pause and resume."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from framework import (
    ClusterView,
    Crash,
    Duration,
    FaultSpec,
    Injection,
    NodeId,
    Pause,
    Restart,
    Resume,
    TargetConfig,
    TargetedFault,
    hookimpl,
)


class AgainConfig(TargetConfig):
    """The nodes to bring back: a node's name, `random` or `all`."""

    target: str = "all"
    lasts: Duration = Duration("0")


class CrashFault(TargetedFault):
    """Crashes nodes, and restarts them with their storage."""

    reaches_others = True

    def disables_target(self) -> bool:
        return True

    def inject(self, view: ClusterView) -> Injection | None:
        nodes = view.select(self.config.target, others=True)
        if not nodes:
            return None
        return Injection(tuple(map(Crash, nodes)), tuple(map(Restart, nodes)), nodes)

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        return {"target": rng.choice(("leader", "random", "random", "random_minority"))}


class PauseFault(TargetedFault):
    """Pauses nodes as SIGSTOP does, and resumes them. A paused node notices the gap only by its clock."""

    reaches_others = True

    def disables_target(self) -> bool:
        return True

    def inject(self, view: ClusterView) -> Injection | None:
        nodes = view.select(self.config.target, others=True)
        if not nodes:
            return None
        return Injection(tuple(map(Pause, nodes)), tuple(map(Resume, nodes)), nodes)

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        return {"target": rng.choice(("leader", "leader", "random", "random_minority"))}


class RestartFault(TargetedFault):
    """Restarts crashed nodes. For schedules: a crash with `for: 0` lasts until then."""

    config: AgainConfig
    reaches_others = True

    def inject(self, view: ClusterView) -> Injection | None:
        known = {**view.statuses, **view.others}
        down = [node for node, status in known.items() if status is None and node not in view.lost]
        nodes = _among(down, self.config.target, view)
        return Injection(tuple(map(Restart, nodes)), (), nodes) if nodes else None


class ResumeFault(TargetedFault):
    """Resumes paused nodes. For schedules: a pause with `for: 0` lasts until then."""

    config: AgainConfig
    reaches_others = True

    def inject(self, view: ClusterView) -> Injection | None:
        nodes = _among([node for node in (*view.nodes, *view.others) if node in view.stopped], self.config.target, view)
        return Injection(tuple(map(Resume, nodes)), (), nodes) if nodes else None


def _among(nodes: Sequence[NodeId], target: str, view: ClusterView) -> tuple[NodeId, ...]:
    if target == "random":
        return (view.rng.choice(nodes),) if nodes else ()
    return tuple(node for node in nodes if target in ("all", node, f"client:{node}"))


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(name="crash", fault=CrashFault, config=TargetConfig, summary="Nodes crash and come back."),
        FaultSpec(name="pause", fault=PauseFault, config=TargetConfig, summary="Nodes pause and continue."),
        FaultSpec(name="restart", fault=RestartFault, config=AgainConfig, summary="Nodes that are down come back."),
        FaultSpec(name="resume", fault=ResumeFault, config=AgainConfig, summary="Paused nodes continue."),
    ]
