"""Nodes crash and come back."""

import random
from collections.abc import Iterable, Sequence

from framework import Action, Config, ConfigError, Duration, Fault, FaultSpec, NodeId, hookimpl


class CrashConfig(Config):
    """Who crashes, when, how often, and for how long."""

    target: str = "random"
    """A node's name, a role that nodes report (`leader`, `follower`), `random` or `all`."""
    first: Duration = Duration("1s")
    """When the first crash comes."""
    every: Duration = Duration("3s")
    """From one crash to the next; 0: there is only one."""
    down: Duration = Duration("1s")
    """How long the nodes stay down."""


class Crash(Fault):
    """Crashes `target`, and restarts what it crashed `down` later.

    A restart is aimed at whatever is down by then: what this fault crashed, for crashes never overlap.
    """

    config: CrashConfig

    def schedule(self, nodes: Sequence[NodeId], duration: int, rng: random.Random) -> Iterable[Action]:
        config = self.config
        if config.target not in nodes and config.target[:1] == "n" and config.target[1:].isdigit():
            raise ConfigError(
                f"faults.crash.target={config.target}",
                "there is no such node",
                f"There are: {', '.join(nodes)}.",
            )
        if config.every and config.every <= config.down:
            raise ConfigError(
                f"faults.crash.every={config.every}",
                f"nodes that stay down for {config.down} cannot crash again so soon",
                "Make `every` longer than `down`.",
            )
        back = config.target if config.target in nodes else "all"
        at = int(config.first)
        while at < duration:
            yield Action(at, "crash", config.target)
            yield Action(at + config.down, "restart", back)
            if not config.every:
                return
            at += config.every


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [FaultSpec(name="crash", fault=Crash, config=CrashConfig, summary="Nodes crash and come back.")]
