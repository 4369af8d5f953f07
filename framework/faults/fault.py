"""Faults: plugins that decide what goes wrong, at which nodes, and how it is undone.

    class CrashFault(TargetedFault):
        def inject(self, view: ClusterView) -> Injection | None:
            nodes = view.select(self.config.target)
            return Injection(tuple(map(Crash, nodes)), tuple(map(Restart, nodes)), nodes) if nodes else None

A plan decides *when* a fault is injected (`framework.faults.plan`): by default from the fault's own config, with `at`,
`every` and `for`. `framework.faults.injector` carries out plans and keeps the ledger.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import msgspec

from framework.core.message import Config, NodeId
from framework.core.time import Duration
from framework.faults.actions import Action
from framework.faults.targets import ClusterView, check_target


@dataclass(frozen=True)
class Injection:
    """A fault's actions, the actions that undo them, and its targets.

    `detail` is shown in the ledger (`n1 n2 | n3 n4 n5`). `on_join` extends the injection to a node that boots for the
    first time while it lasts: given the node and a random stream of its own, it returns the impairments of that node's
    links, under the same token, with a detail. None: joining nodes are not affected.
    """

    actions: tuple[Action, ...]
    undo: tuple[Action, ...] = ()
    targets: tuple[NodeId, ...] = ()
    detail: str = ""
    on_join: OnJoin | None = field(default=None, compare=False)


OnJoin: TypeAlias = Callable[[NodeId, random.Random], Injection]
"""Extends an injection to the links of a joining node, given the node and a random stream of its own."""


class FaultConfig(Config):
    """The times at which a fault is injected. The plugin's config adds its actions and targets."""

    at: Duration = Duration("1s")
    """Time of the first injection."""
    every: Duration = Duration("0")
    """Time from one injection to the next; 0: only one."""
    lasts: Duration = msgspec.field(default=Duration("1s"), name="for")
    """`for`: time until it is undone; 0: only when all faults end."""

    def __post_init__(self) -> None:
        if self.every and self.lasts >= self.every:
            raise ValueError(f"for={self.lasts} outlasts every={self.every}: make `every` longer than `for`")


class TargetConfig(FaultConfig):
    """The nodes that a fault targets."""

    target: str = "random"
    """A node's name, a role that nodes report or are given (`leader`, `follower`), `random`,
    `random_minority`, `random_majority`, `all`; `leader:PATH` for the leader of a mounted group. Crashes, pauses and
    clocks also reach clients: `client:c3`, `client:random`, or a role that clients report."""


class Fault(ABC):
    """Base of every fault: its actions, its targets, and the actions that undo it."""

    config: Any

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def inject(self, view: ClusterView) -> Injection | None:
        """Returns the injection to carry out now; None if there is no target yet: the fault is retried shortly."""

    @property
    def target(self) -> str:
        """The target named in its config, for `ClusterView.select`; "" if there is none."""
        return ""

    def expected_touched(self, injection: Injection, messages: int) -> float | None:
        """Returns the expected number of touched messages out of `messages`; None if the fault is not probabilistic."""
        return None

    def disables_target(self) -> bool:
        """Returns whether its targets are out of service until it is undone."""
        return False

    def required_admin_operations(self, key: str) -> tuple[str, ...]:
        """Returns the administrative operations that it requests of the protocol.

        `key` locates its config in a ConfigError.
        """
        return ()

    def validate_nodes(self, key: str, nodes: Sequence[NodeId], spares: Sequence[NodeId]) -> None:
        """Raises ConfigError if the config at `key` does not fit these servers.

        `spares` are the spare ones of `nodes`.
        """

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        """Draws random options for a fault of this kind in a swarm, in addition to `at` and `for`."""
        return {}


class TargetedFault(Fault):
    """Base of faults whose nodes are selected by the config's `target`."""

    config: TargetConfig

    reaches_others: ClassVar[bool] = False
    """Whether its targets may be clients, or the workload's service."""

    @property
    def target(self) -> str:
        return self.config.target

    def validate_nodes(self, key: str, nodes: Sequence[NodeId], spares: Sequence[NodeId]) -> None:
        check_target(f"{key}.target", self.config.target, nodes, others=self.reaches_others)
