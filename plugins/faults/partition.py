"""The network falls apart: who can still hear whom, and on which side the clients stand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from framework import (
    Calm,
    ConfigError,
    Disturb,
    Disturbance,
    Duration,
    Fault,
    FaultConfig,
    FaultSpec,
    NodeId,
    Strike,
    View,
    check_target,
    hookimpl,
)

Shape: TypeAlias = Literal["halves", "minority", "majority_ring", "bridge", "isolate", "one_way", "random"]
Cut: TypeAlias = frozenset[tuple[NodeId, NodeId]]
"""Directions between servers in which nothing gets through."""

SMALLEST = {"halves": 2, "minority": 3, "majority_ring": 4, "bridge": 3, "isolate": 2, "one_way": 2}
"""The fewest nodes that each shape takes."""


class PartitionConfig(FaultConfig):
    """How the network falls apart."""

    at: Duration = Duration("1s")
    every: Duration = Duration("3s")
    lasts: Duration = Duration("1500ms")
    kind: Shape = "random"
    """`halves`: two sides, one larger by a node if the number is odd. `minority`: fewer than half on one side.
    `majority_ring`: each node hears a majority, and no two the same. `bridge`: two sides and a node that hears both.
    `isolate`: the target alone. `one_way`: the target is not heard, or does not hear. `random`: any of these each time."""
    target: str = "random"
    """isolate, one_way: a node's name, a role, `random`, `random_minority`."""
    clients: Literal["with_sides", "majority_only", "all"] = "with_sides"
    """`with_sides`: each stands beside some server and shares its lot. `majority_only`: they hear only servers that
    hear a majority. `all`: they hear everyone. Only clients cut off with a minority can see what is stale."""


class PartitionFault(Fault):
    """Cuts links between servers, and those of the clients with them."""

    config: PartitionConfig

    @property
    def aimed_at(self) -> str:
        return self.config.target

    def needs(self, key: str, nodes: Sequence[NodeId]) -> None:
        check_target(f"{key}.target", self.config.target, nodes)
        least = SMALLEST.get(self.config.kind, 2)
        if len(nodes) < least:
            raise ConfigError(
                f"{key}.kind={self.config.kind}", f"takes at least {least} nodes, and there are {len(nodes)}",
                f"Write nodes={least}.",
            )  # fmt: skip

    def strike(self, view: View) -> Strike | None:
        kinds = [kind for kind, least in SMALLEST.items() if len(view.nodes) >= least]
        kind = view.rng.choice(kinds) if self.config.kind == "random" else self.config.kind
        cut, against, detail = self._shape(kind, view)
        if not cut:
            return None
        links = [(a, b) for a in view.nodes for b in view.nodes if (a, b) in cut]
        token = view.token()
        disturb = Disturb(token, (*links, *self._client_links(cut, view)), Disturbance(cut=True))
        return Strike((disturb,), (Calm(token),), against, f"{kind}: {detail}")

    @classmethod
    def drawn(cls, rng: random.Random) -> dict[str, Any]:
        return {"kind": "random", "target": rng.choice(("leader", "random"))}

    def _shape(self, kind: str, view: View) -> tuple[Cut, tuple[NodeId, ...], str]:
        """Which directions are cut, whom that is against, and how it looks."""
        nodes = view.rng.sample(view.nodes, len(view.nodes))
        count = len(nodes)
        if kind in ("halves", "minority"):
            size = count // 2 if kind == "halves" else view.rng.randint(1, (count - 1) // 2)
            few, many = _sorted(nodes[:size], view), _sorted(nodes[size:], view)
            return _apart(few, many), few, f"{' '.join(few)} | {' '.join(many)}"
        if kind == "bridge":
            half = (count - 1) // 2
            one, other = _sorted(nodes[1 : 1 + half], view), _sorted(nodes[1 + half :], view)
            return _apart(one, other), (nodes[0],), f"{' '.join(one)} | {nodes[0]} | {' '.join(other)}"
        if kind == "majority_ring":
            return _ring(nodes), view.nodes, " - ".join(nodes)
        targets = view.aim(self.config.target)
        others = tuple(node for node in nodes if node not in targets)
        named = " ".join(targets)
        if kind == "isolate":
            return _alone(targets, nodes), targets, f"{named} | {' '.join(_sorted(others, view))}"
        heard = view.rng.random() < 0.5
        cut = frozenset((b, a) if heard else (a, b) for a in targets for b in nodes if a != b)
        return cut, targets, f"{named} {'does not hear' if heard else 'is not heard'}"

    def _client_links(self, cut: Cut, view: View) -> list[tuple[NodeId, NodeId]]:
        if self.config.clients == "all":
            return []
        majority = len(view.nodes) // 2 + 1
        outside = {node for node in view.nodes if _hears(node, cut, view) < majority}
        links = []
        for client in view.clients:
            beside = view.rng.choice(view.nodes)
            for server in view.nodes:
                if self.config.clients == "majority_only":
                    lost = (server in outside,) * 2
                else:
                    lost = ((beside, server) in cut, (server, beside) in cut)
                links += [link for link, gone in zip(((client, server), (server, client)), lost, strict=True) if gone]
        return links


def _sorted(nodes: Sequence[NodeId], view: View) -> tuple[NodeId, ...]:
    return tuple(node for node in view.nodes if node in nodes)


def _apart(one: Sequence[NodeId], other: Sequence[NodeId]) -> Cut:
    return frozenset(link for a in one for b in other for link in ((a, b), (b, a)))


def _alone(targets: Sequence[NodeId], nodes: Sequence[NodeId]) -> Cut:
    return frozenset(link for a in targets for b in nodes if a != b for link in ((a, b), (b, a)))


def _ring(nodes: Sequence[NodeId]) -> Cut:
    """On a ring, each hears as many neighbours on either side as make a majority with itself."""
    count = len(nodes)
    reach = (count // 2 + 1) // 2
    near = {(at, (at + step) % count) for at in range(count) for step in range(-reach, reach + 1)}
    return frozenset((nodes[a], nodes[b]) for a in range(count) for b in range(count) if (a, b) not in near)


def _hears(node: NodeId, cut: Cut, view: View) -> int:
    """How many nodes can speak with `node` both ways, itself included."""
    return sum((node, other) not in cut and (other, node) not in cut for other in view.nodes)


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(
            name="partition", fault=PartitionFault, config=PartitionConfig,
            summary="The network falls apart: halves, a ring, a bridge, one node alone, one direction.",
        )
    ]  # fmt: skip
