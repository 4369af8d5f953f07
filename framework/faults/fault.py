"""Faults: plugins that decide what goes wrong, for whom, and how it is undone.

    class CrashFault(TargetedFault):
        def inject(self, view: ClusterView) -> Injection | None:
            nodes = view.select(self.config.target)
            return Injection(tuple(map(Crash, nodes)), tuple(map(Restart, nodes)), nodes) if nodes else None

*When* a fault is injected is a plan's to say (`framework.faults.plan`): by default the fault's own config, with `at`, `every`
and `for`. `framework.faults.injector` carries plans out and keeps the ledger.
"""

from __future__ import annotations

import difflib
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from framework.core.errors import ConfigError, did_you_mean
from framework.core.message import Config, NodeId
from framework.core.status import NOTHING_SHOWN, Status
from framework.core.time import Duration
from framework.faults.actions import Action


@dataclass(frozen=True)
class ClusterView:
    """The system as a fault sees it at the moment of its injection.

    `now` is the run's time in nanoseconds. `statuses` has every server in the order of the config: its `Status`, or None if it
    is down. `stopped` are the servers that are paused, `lost` those that no restart brings back, `spares` those that stand by
    and have never run, which are not in `statuses`. `rng` is the fault's own random stream. `token()` returns a fresh token for
    `ImpairLinks` and `RunAdminOperation`.
    """

    now: int
    statuses: Mapping[NodeId, Status | None]
    clients: tuple[NodeId, ...]
    rng: random.Random
    token: Callable[[], int]
    stopped: frozenset[NodeId] = frozenset()
    lost: frozenset[NodeId] = frozenset()
    spares: tuple[NodeId, ...] = ()

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        return tuple(self.statuses)

    @property
    def up(self) -> tuple[NodeId, ...]:
        """Servers that run and are not paused."""
        return tuple(node for node, status in self.statuses.items() if status is not None and node not in self.stopped)

    def select(self, target: str) -> tuple[NodeId, ...]:
        """The running nodes that `target` means now: a name, a role, `random`, `random_minority`, `random_majority`, `all`.

        Empty if no node matches: a role that no node has, a node that is down.
        """
        up = self.up
        if target in self.statuses:
            return (target,) if target in up else ()
        if target == "all":
            return up
        majority = len(self.statuses) // 2 + 1
        if target == "random":
            return (self.rng.choice(up),) if up else ()
        if target == "random_minority":
            most = min(len(up), len(self.statuses) - majority)
            return self._some(up, self.rng.randint(1, most)) if most >= 1 else ()
        if target == "random_majority":
            return self._some(up, majority) if len(up) >= majority else ()
        return tuple(node for node in up if target in (self.statuses[node] or NOTHING_SHOWN).roles)

    def _some(self, nodes: Sequence[NodeId], count: int) -> tuple[NodeId, ...]:
        chosen = set(self.rng.sample(nodes, count))
        return tuple(node for node in nodes if node in chosen)


@dataclass(frozen=True)
class Injection:
    """What a fault does now, the actions that undo it, and its targets.

    `detail` is shown in the ledger (`n1 n2 | n3 n4 n5`). `on_join` extends the injection to a node that boots for the first
    time while it lasts: given the node and a random stream of its own, it returns what happens to that node's links, under the
    same token, with a detail. None: nodes that join are left alone.
    """

    actions: tuple[Action, ...]
    undo: tuple[Action, ...] = ()
    targets: tuple[NodeId, ...] = ()
    detail: str = ""
    on_join: OnJoin | None = field(default=None, compare=False)


OnJoin: TypeAlias = Callable[[NodeId, random.Random], Injection]
"""Extends an injection to the links of a node that joins, given the node and a random stream of its own."""


class FaultConfig(Config):
    """When a fault is injected. Its plugin's config adds what it does and to whom."""

    at: Duration = Duration("1s")
    """The first time."""
    every: Duration = Duration("0")
    """From one injection to the next; 0: only one."""
    lasts: Duration = msgspec.field(default=Duration("1s"), name="for")
    """`for`: how long until it is undone; 0: only when all faults end."""

    def __post_init__(self) -> None:
        if self.every and self.lasts >= self.every:
            raise ValueError(f"for={self.lasts} outlasts every={self.every}: make `every` longer than `for`")


class TargetConfig(FaultConfig):
    """Which nodes it is for."""

    target: str = "random"
    """A node's name, a role that nodes report (`leader`, `follower`), `random`, `random_minority`, `random_majority`,
    `all`."""


class Fault(ABC):
    """Base of every fault: what it does, to whom, and what undoes it."""

    config: Any

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def inject(self, view: ClusterView) -> Injection | None:
        """What to do now; None if there is no target at the moment, and the fault is to be tried again shortly."""

    @property
    def target(self) -> str:
        """The target that its config names, as `ClusterView.select` takes it; "" if it names none."""
        return ""

    def expected_touched(self, injection: Injection, messages: int) -> float | None:
        """How many messages a probabilistic fault should have touched, out of the `messages` that passed; None if it is
        not probabilistic."""
        return None

    def disables_target(self) -> bool:
        """Whether its targets are out of service until it is undone."""
        return False

    def required_admin_operations(self, key: str) -> tuple[str, ...]:
        """The administrative operations that it requests of the protocol. `key` is where its config stands, for a
        ConfigError."""
        return ()

    def validate_nodes(self, key: str, nodes: Sequence[NodeId], spares: Sequence[NodeId]) -> None:
        """Raises ConfigError if the config, which stands under `key`, does not fit these servers; `spares` are those of
        `nodes` that stand by."""

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        """Options for a fault of this kind in a swarm, drawn at random, besides `at` and `for`."""
        return {}


ROLES = ("leader", "follower", "candidate", "coordinator", "participant", "primary", "backup")
SELECTORS = ("random", "random_minority", "random_majority", "all")


def check_target(where: str, target: str, nodes: Sequence[NodeId]) -> None:
    """ConfigError if `target` is empty, an unknown node, a misspelt keyword, or can never select a node.

    Roles are the protocol's to name: a word that is like none of ours passes.
    """
    if target[:1] == "n" and target[1:].isdigit() and target not in nodes:
        raise ConfigError(f"{where}={target}", "there is no such node", did_you_mean(target, nodes))
    words = (*SELECTORS, *ROLES)
    if not target or (target not in words and difflib.get_close_matches(target, words, n=1, cutoff=0.8)):
        raise ConfigError(f"{where}={target}", "there is no such target", did_you_mean(target, (*nodes, *words)))
    if target == "random_minority" and len(nodes) < 3:
        raise ConfigError(
            f"{where}={target}", f"fewer than half of {len(nodes)} is no node", "Write nodes=3, or random."
        )


def is_role(target: str, nodes: Sequence[NodeId]) -> bool:
    """Whether a target can only be meant as a role that nodes report."""
    return bool(target) and target not in SELECTORS and target not in nodes and ":" not in target


class TargetedFault(Fault):
    """A fault of nodes, which its config's `target` selects."""

    config: TargetConfig

    @property
    def target(self) -> str:
        return self.config.target

    def validate_nodes(self, key: str, nodes: Sequence[NodeId], spares: Sequence[NodeId]) -> None:
        check_target(f"{key}.target", self.config.target, nodes)
