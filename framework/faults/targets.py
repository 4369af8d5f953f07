"""The targets of faults: which nodes a word such as `leader`, `random_minority` or `client:c3` selects."""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from framework.core.errors import ConfigError, did_you_mean
from framework.core.message import NodeId
from framework.core.status import NOTHING_SHOWN, Status

LEADER_OF, HOST_OF, CLIENT = "leader", "host", "client"
"""The words before the colon of a target."""


@dataclass(frozen=True)
class ClusterView:
    """The system as a fault sees it at the moment of its injection.

    `now` is the run's time in nanoseconds. `statuses` maps every server, in the order of the config, to its `Status`,
    or None if it is down. `stopped` are the paused servers, `lost` the servers that no restart brings back. `spares`
    are the spare servers that have never run; they are not in `statuses`. `rng` is the fault's own random stream.
    `token()` returns a fresh token for `ImpairLinks` and `RunAdminOperation`. `others` maps the clients and the
    workload's service to their statuses. `roles` are the nodes by the role that the protocol gives them.
    """

    now: int
    statuses: Mapping[NodeId, Status | None]
    clients: tuple[NodeId, ...]
    rng: random.Random
    token: Callable[[], int]
    stopped: frozenset[NodeId] = frozenset()
    lost: frozenset[NodeId] = frozenset()
    spares: tuple[NodeId, ...] = ()
    others: Mapping[NodeId, Status | None] = field(default_factory=dict)
    roles: Mapping[str, tuple[NodeId, ...]] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        return tuple(self.statuses)

    @property
    def up(self) -> tuple[NodeId, ...]:
        """Servers that run and are not paused."""
        return tuple(node for node, status in self.statuses.items() if status is not None and node not in self.stopped)

    def select(self, target: str, *, others: bool = False) -> tuple[NodeId, ...]:
        """Returns the running nodes that `target` selects now.

        `target` is a name, a role, `random`, `random_minority`, `random_majority` or `all`; `leader:PATH` is a node
        whose mount PATH leads, `host:PATH` one that takes part there. The result is empty if no running node matches.
        With `others`, clients and the workload's service can be selected too: by name, `client:NAME`, `client:random`,
        or a role that they report.
        """
        up = self.up
        if target in self.statuses:
            return (target,) if target in up else ()
        outside = tuple(
            node for node, status in self.others.items() if others and status is not None and node not in self.stopped
        )
        word, colon, name = target.partition(":")
        if colon and word in (LEADER_OF, HOST_OF):
            shown = {node: self.statuses[node] or NOTHING_SHOWN for node in up}
            paths = {node: status.leads if word == LEADER_OF else status.hosts for node, status in shown.items()}
            return tuple(node for node in up if name in paths[node])
        if colon and word == CLIENT:
            clients = tuple(node for node in outside if node in self.clients)
            if name == "random":
                return (self.rng.choice(clients),) if clients else ()
            return (name,) if name in clients else ()
        if target in self.others:
            return (target,) if target in outside else ()
        if self.roles.get(target):  # a role without nodes leaves its name to the statuses
            return tuple(node for node in (*up, *outside) if node in self.roles[target])
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
        known = {**self.statuses, **self.others}
        return tuple(node for node in (*up, *outside) if target in (known[node] or NOTHING_SHOWN).roles)

    def _some(self, nodes: Sequence[NodeId], count: int) -> tuple[NodeId, ...]:
        chosen = set(self.rng.sample(nodes, count))
        return tuple(node for node in nodes if node in chosen)


ROLES = ("leader", "follower", "candidate", "coordinator", "participant", "primary", "backup")
SELECTORS = ("random", "random_minority", "random_majority", "all")


def check_target(where: str, target: str, nodes: Sequence[NodeId], *, others: bool = False) -> None:
    """Raises ConfigError if `target` is empty, an unknown node, a misspelt keyword, or can never select a node.

    Protocols name their own roles: a word unlike any known one passes. `others`: clients can be selected too.
    """
    word, colon, name = target.partition(":")
    if colon:
        kinds = (LEADER_OF, HOST_OF, *((CLIENT,) if others else ()))
        if word not in kinds:
            fix = did_you_mean(word, kinds) if word != CLIENT else "Crashes, pauses and clocks reach clients."
            raise ConfigError(
                f"{where}={target}", f"there is no such target: {word!r} cannot stand before a colon", fix
            )
        if not name:
            raise ConfigError(f"{where}={target}", "names nothing after the colon", f"Write {word}:NAME.")
        return
    if target[:1] == "n" and target[1:].isdigit() and target not in nodes:
        raise ConfigError(f"{where}={target}", "there is no such node", did_you_mean(target, nodes))
    words = (*SELECTORS, *ROLES)
    if not target or (target not in words and difflib.get_close_matches(target, words, n=1, cutoff=0.8)):
        raise ConfigError(f"{where}={target}", "there is no such target", did_you_mean(target, (*nodes, *words)))
    if target == "random_minority" and len(nodes) < 3:
        raise ConfigError(
            f"{where}={target}", f"fewer than half of {len(nodes)} means no node", "Write nodes=3, or random."
        )


def is_role(target: str, nodes: Sequence[NodeId]) -> bool:
    """Returns whether a target can only be a role that nodes report."""
    return bool(target) and target not in SELECTORS and target not in nodes
