"""Faults: plugins that decide which actions befall whom.

A fault plugin is a class with a config: `strike` looks at the system as it is now and returns the actions to carry out,
and those that undo them. *When* it strikes is in its config (`at`, `every`, `for`) or in a schedule;
`framework.faults.injector` keeps the time, the heals and the ledger.
"""

from __future__ import annotations

import difflib
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import msgspec

from framework.core.errors import ConfigError, did_you_mean
from framework.core.message import Config, NodeId
from framework.core.time import Duration, format_duration
from framework.faults.actions import Action

Status: TypeAlias = Mapping[str, Any]
"""What a node reports of itself: `Node.status`."""


@dataclass(frozen=True)
class View:
    """The system as a fault sees it when its time has come.

    `statuses` has every server in the order of the config: what it reports, or None if it is down. `stopped` are those
    that stand still, `lost` those that no restart brings back, `spares` those that stand by and have never run, which
    are not in `statuses`. `token()` gives a fresh token for `Disturb` and `Ask`.
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
        """Servers that run, and do not stand still."""
        return tuple(node for node, status in self.statuses.items() if status is not None and node not in self.stopped)

    def aim(self, target: str) -> tuple[NodeId, ...]:
        """The running nodes that `target` means now: a name, a role, `random`, `random_minority`, `random_majority`,
        `all`.

        A node may report several roles, as words. Empty if nobody is meant: a role that nobody has, a node that is
        down.
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
        return tuple(node for node in up if target in str((self.statuses[node] or {}).get("role")).split())

    def _some(self, nodes: Sequence[NodeId], count: int) -> tuple[NodeId, ...]:
        chosen = set(self.rng.sample(nodes, count))
        return tuple(node for node in nodes if node in chosen)


@dataclass(frozen=True)
class Strike:
    """What a fault does now, to whom, and what undoes it.

    `detail` is shown in the ledger (`n1 n2 | n3 n4 n5`). `joins` takes a node that boots for the first time while the
    strike lasts and a random stream of its own; it returns what the strike does to that node's links, under the same
    token, with a detail that says where the node stands. None: the strike does not extend to nodes that join.
    """

    does: tuple[Action, ...]
    undoes: tuple[Action, ...] = ()
    against: tuple[NodeId, ...] = ()
    detail: str = ""
    joins: Joining | None = field(default=None, compare=False)


Joining: TypeAlias = Callable[[NodeId, random.Random], Strike]


class FaultConfig(Config):
    """When a fault strikes. Its plugin's config adds what it does and to whom."""

    at: Duration = Duration("1s")
    """The first time."""
    every: Duration = Duration("0")
    """From one strike to the next; 0: it strikes once."""
    lasts: Duration = msgspec.field(default=Duration("1s"), name="for")
    """`for`: how long until it is undone; 0: only at the end of the run."""

    def __post_init__(self) -> None:
        if self.every and self.lasts >= self.every:
            raise ValueError(f"for={self.lasts} outlasts every={self.every}: make `every` longer than `for`")


class TargetConfig(FaultConfig):
    """Whom it strikes."""

    target: str = "random"
    """A node's name, a role that nodes report (`leader`, `follower`), `random`, `random_minority`, `random_majority`,
    `all`."""


@dataclass(frozen=True)
class Planned:
    """A fault at a time: it strikes at `at`, and is undone `lasts` later (0: at the final heal). `then` counts from
    there.

    `again`: a disk in trouble that no commit met in that time is troubled once more, as long as there is time.
    """

    at: int
    fault: Fault
    name: str
    lasts: int
    then: tuple[Planned, ...] = ()
    again: bool = False


class Fault(ABC):
    """Base of every fault. `kinds` are all kinds that are installed, for those that are made of others."""

    config: Any
    nodes: tuple[NodeId, ...] = ()
    """The servers that the run starts with, once an experiment has made the fault."""
    spares: tuple[NodeId, ...] = ()
    """Those that stand by."""

    def __init__(self, config: Any, kinds: Mapping[str, FaultKind]) -> None:
        self.config, self.kinds = config, kinds

    @abstractmethod
    def strike(self, view: View) -> Strike | None:
        """What to do now; None if there is nobody to do it to, and it is to be tried again shortly."""

    @property
    def aimed_at(self) -> str:
        """The target that its config names, as `View.aim` takes it; "" if it aims at none."""
        return ""

    def expected(self, strike: Strike, messages: int) -> float | None:
        """How many messages a probabilistic fault should have touched, out of those that came by; None if it is not
        one."""
        return None

    def plan(self, name: str, duration: int, rng: random.Random) -> Iterable[Planned]:
        """The strikes within `duration` nanoseconds: by default those of `at`, `every` and `for`."""
        at = int(self.config.at)
        while at < duration:
            yield Planned(at, self, name, int(self.config.lasts))
            if not self.config.every:
                return
            at += self.config.every

    def asks(self, key: str) -> tuple[str, ...]:
        """The administrative operations that it asks of the protocol. `key` is where it stands, for a BadValue."""
        return ()

    def takes_down(self) -> bool:
        """Whether those whom it is against are out of service until it is undone."""
        return False

    @classmethod
    def drawn(cls, rng: random.Random) -> dict[str, Any]:
        """Options of this kind as `chaos` draws them, besides when it strikes and for how long."""
        return {}

    def needs(self, key: str, nodes: Sequence[NodeId]) -> None:
        """Raises ConfigError if the config, which stands under `key`, cannot fit these nodes."""

    def fits(self, key: str, span: int) -> None:
        """Raises ConfigError if the config, which stands under `key`, lets nothing strike within `span` nanoseconds."""
        if isinstance(self.config, FaultConfig):
            check_begins(f"{key}.at={self.config.at}", int(self.config.at), span)


class FaultKind(Protocol):
    """A kind of fault, by which schedules make one of their own."""

    @property
    def fault(self) -> type[Fault]: ...

    @property
    def config(self) -> type[Config] | None: ...


ROLES = ("leader", "follower", "candidate", "coordinator", "participant", "primary", "backup")
AIMS = ("random", "random_minority", "random_majority", "all")


def check_target(where: str, target: str, nodes: Sequence[NodeId]) -> None:
    """ConfigError if `target` is empty, an unknown node, a misspelt keyword, or can never select a node.

    Roles are the protocol's to name: a word that is like none of ours passes.
    """
    if target[:1] == "n" and target[1:].isdigit() and target not in nodes:
        raise ConfigError(f"{where}={target}", "there is no such node", did_you_mean(target, nodes))
    words = (*AIMS, *ROLES)
    if not target or (target not in words and difflib.get_close_matches(target, words, n=1, cutoff=0.8)):
        raise ConfigError(f"{where}={target}", "there is no such target", did_you_mean(target, (*nodes, *words)))
    if target == "random_minority" and len(nodes) < 3:
        raise ConfigError(
            f"{where}={target}", f"fewer than half of {len(nodes)} is nobody", "Write nodes=3, or random."
        )


def check_begins(where: str, begins: int, span: int) -> None:
    """ConfigError if what begins at `begins` does not begin within `span` nanoseconds, after which all is healed."""
    if begins >= span:
        raise ConfigError(
            where,
            f"can never strike: from {format_duration(span)} on there are no faults (duration less quiet)",
            "Let it strike sooner, the run last longer, or quiet be shorter.",
        )


def is_role(target: str, nodes: Sequence[NodeId]) -> bool:
    """Whether a target can only be meant as a role that nodes report."""
    return bool(target) and target not in AIMS and target not in nodes and ":" not in target


class TargetedFault(Fault):
    """A fault that strikes nodes."""

    config: TargetConfig

    @property
    def aimed_at(self) -> str:
        return self.config.target

    def needs(self, key: str, nodes: Sequence[NodeId]) -> None:
        check_target(f"{key}.target", self.config.target, nodes)
