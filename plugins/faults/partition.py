"""The network falls apart: who can still hear whom, and on which side the clients stand."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from framework import (
    ClusterView,
    ConfigError,
    Duration,
    Fault,
    FaultConfig,
    FaultSpec,
    ImpairLinks,
    Impairment,
    Injection,
    LinkName,
    NodeId,
    RestoreLinks,
    check_target,
    hookimpl,
)

Shape: TypeAlias = Literal["halves", "minority", "majority_ring", "bridge", "isolate", "one_way", "random"]
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
    def target(self) -> str:
        return self.config.target

    def validate_nodes(self, key: str, nodes: Sequence[NodeId], spares: Sequence[NodeId]) -> None:
        check_target(f"{key}.target", self.config.target, nodes)
        least = SMALLEST.get(self.config.kind, 2)
        if len(nodes) < least:
            raise ConfigError(
                f"{key}.kind={self.config.kind}", f"takes at least {least} nodes, and there are {len(nodes)}",
                f"Write nodes={least}.",
            )  # fmt: skip

    def inject(self, view: ClusterView) -> Injection | None:
        kinds = [kind for kind, least in SMALLEST.items() if len(view.nodes) >= least]
        kind = view.rng.choice(kinds) if self.config.kind == "random" else self.config.kind
        split, against, detail = self._shape(kind, view)
        if not split.cut:
            return None
        links = [(a, b) for a in view.nodes for b in view.nodes if (a, b) in split.cut]
        token = view.token()
        beside = (
            {} if self.config.clients == "all" else {client: view.rng.choice(view.nodes) for client in view.clients}
        )
        links += self._client_links(split, beside, split.nodes)

        def extend(node: NodeId, rng: random.Random) -> Injection:
            where, cut = split.take_in(node, rng)
            return Injection((self._cut(token, (*cut, *self._client_links(split, beside, (node,)))),), detail=where)

        return Injection((self._cut(token, links),), (RestoreLinks(token),), against, f"{kind}: {detail}", extend)

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        return {"kind": "random", "target": rng.choice(("leader", "random"))}

    def _cut(self, token: int, links: Sequence[LinkName]) -> ImpairLinks:
        return ImpairLinks(token, tuple(links), Impairment(cut=True))

    def _shape(self, kind: str, view: ClusterView) -> tuple[Split, tuple[NodeId, ...], str]:
        """Who hears whom, whom that is against, and how it looks."""
        nodes = view.rng.sample(view.nodes, len(view.nodes))
        count = len(nodes)
        if kind in ("halves", "minority"):
            size = count // 2 if kind == "halves" else view.rng.randint(1, (count - 1) // 2)
            few, many = _sorted(nodes[:size], view), _sorted(nodes[size:], view)
            return Split(view.nodes, _apart(few, many), few, many), few, f"{' '.join(few)} | {' '.join(many)}"
        if kind == "bridge":
            half = (count - 1) // 2
            one, other = _sorted(nodes[1 : 1 + half], view), _sorted(nodes[1 + half :], view)
            split = Split(view.nodes, _apart(one, other), one, other)
            return split, (nodes[0],), f"{' '.join(one)} | {nodes[0]} | {' '.join(other)}"
        if kind == "majority_ring":
            return Ring(view.nodes, nodes), view.nodes, " - ".join(nodes)
        targets = view.select(self.config.target)
        others = _sorted([node for node in nodes if node not in targets], view)
        named = " ".join(targets)
        if kind == "isolate":
            return Split(view.nodes, _alone(targets, nodes), others), targets, f"{named} | {' '.join(others)}"
        heard = view.rng.random() < 0.5
        cut = {(b, a) if heard else (a, b) for a in targets for b in nodes if a != b}
        return Split(view.nodes, cut, others), targets, f"{named} {'does not hear' if heard else 'is not heard'}"

    def _client_links(self, split: Split, beside: Mapping[NodeId, NodeId], servers: Iterable[NodeId]) -> list[LinkName]:
        """The links between clients, each of which stands beside a server, and these servers that are cut."""
        majority = len(split.nodes) // 2 + 1
        outside = {node for node in servers if split.hears(node) < majority}
        links = []
        for client, place in beside.items():
            for server in servers:
                if self.config.clients == "majority_only":
                    lost = (server in outside,) * 2
                else:
                    lost = ((place, server) in split.cut, (server, place) in split.cut)
                links += [link for link, gone in zip(((client, server), (server, client)), lost, strict=True) if gone]
        return links


class Split:
    """A network that has fallen apart: the directions between servers in which nothing gets through.

    `sides` are those on which a node that joins may stand: it shares the lot of those who stand there.
    """

    def __init__(self, nodes: Sequence[NodeId], cut: Iterable[LinkName], *sides: Sequence[NodeId]) -> None:
        self.nodes, self.cut = list(nodes), set(cut)
        self._sides = [list(side) for side in sides if side]

    def hears(self, node: NodeId) -> int:
        """How many nodes can speak with `node` both ways, itself included."""
        return sum((node, other) not in self.cut and (other, node) not in self.cut for other in self.nodes)

    def take_in(self, node: NodeId, rng: random.Random) -> tuple[str, list[LinkName]]:
        """Puts a node where it stands from now on; says where, and which of its links are cut."""
        where, apart = self._place(node, rng)
        self.nodes.append(node)
        self.cut.update(apart)
        return f"{node} joined {where}", apart

    def _place(self, node: NodeId, rng: random.Random) -> tuple[str, list[LinkName]]:
        if not self._sides:  # everyone stands alone
            return "alone", [link for other in self.nodes for link in ((node, other), (other, node))]
        side = rng.choice(self._sides)
        like, where = side[0], f"on the side of {' '.join(side)}"
        side.append(node)
        apart = [(node, other) for other in self.nodes if (like, other) in self.cut]
        return where, apart + [(other, node) for other in self.nodes if (other, like) in self.cut]


class Ring(Split):
    """Each node hears as many neighbours on either side as make a majority with itself; so does one that joins."""

    def __init__(self, nodes: Sequence[NodeId], ring: Sequence[NodeId]) -> None:
        self._ring = list(ring)
        super().__init__(nodes, [(a, b) for a in ring for b in self._far(a)])

    def _place(self, node: NodeId, rng: random.Random) -> tuple[str, list[LinkName]]:
        at = rng.randrange(len(self._ring))
        before, after = self._ring[at], self._ring[(at + 1) % len(self._ring)]
        self._ring.insert(at + 1, node)
        apart = [link for other in self._far(node) for link in ((node, other), (other, node))]
        return f"between {before} and {after}", apart

    def _far(self, node: NodeId) -> list[NodeId]:
        """Those whom `node` does not hear: all but its neighbours."""
        count = len(self._ring)
        reach = (count // 2 + 1) // 2
        at = self._ring.index(node)
        near = {self._ring[(at + step) % count] for step in range(-reach, reach + 1)}
        return [other for other in self._ring if other not in near]


def _sorted(nodes: Sequence[NodeId], view: ClusterView) -> tuple[NodeId, ...]:
    return tuple(node for node in view.nodes if node in nodes)


def _apart(one: Sequence[NodeId], other: Sequence[NodeId]) -> set[LinkName]:
    return {link for a in one for b in other for link in ((a, b), (b, a))}


def _alone(targets: Sequence[NodeId], nodes: Sequence[NodeId]) -> set[LinkName]:
    return {link for a in targets for b in nodes if a != b for link in ((a, b), (b, a))}


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(
            name="partition", fault=PartitionFault, config=PartitionConfig,
            summary="The network falls apart: halves, a ring, a bridge, one node alone, one direction.",
        )
    ]  # fmt: skip
