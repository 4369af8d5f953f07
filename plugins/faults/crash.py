"""Nodes crash and come back; nodes stand still and go on."""

from collections.abc import Sequence

from framework import (
    Crash,
    Fault,
    FaultConfig,
    FaultSpec,
    NodeId,
    Pause,
    Restart,
    Resume,
    Strike,
    View,
    check_target,
    hookimpl,
)


class TargetConfig(FaultConfig):
    """Whom it strikes."""

    target: str = "random"
    """A node's name, a role that nodes report (`leader`, `follower`), `random`, `random_minority`, `random_majority`, `all`."""


class CrashFault(Fault):
    """Crashes nodes, and restarts them over their storage."""

    config: TargetConfig

    def needs(self, key: str, nodes: Sequence[NodeId]) -> None:
        check_target(f"{key}.target", self.config.target, nodes)

    def strike(self, view: View) -> Strike | None:
        nodes = view.aim(self.config.target)
        if not nodes:
            return None
        return Strike(tuple(map(Crash, nodes)), tuple(map(Restart, nodes)), nodes)


class PauseFault(Fault):
    """Stops nodes where they stand, as SIGSTOP does, and lets them go on: to them no time has passed but on the clock."""

    config: TargetConfig

    def needs(self, key: str, nodes: Sequence[NodeId]) -> None:
        check_target(f"{key}.target", self.config.target, nodes)

    def strike(self, view: View) -> Strike | None:
        nodes = view.aim(self.config.target)
        if not nodes:
            return None
        return Strike(tuple(map(Pause, nodes)), tuple(map(Resume, nodes)), nodes)


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(name="crash", fault=CrashFault, config=TargetConfig, summary="Nodes crash and come back."),
        FaultSpec(name="pause", fault=PauseFault, config=TargetConfig, summary="Nodes stand still and go on."),
    ]
