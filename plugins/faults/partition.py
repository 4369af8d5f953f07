"""Partitions of the network: which nodes can still hear each other, and on which side the clients are."""

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

CLIENT = "client"
"""The shape that leaves the servers together."""
Shape: TypeAlias = Literal["halves", "minority", "majority_ring", "bridge", "isolate", "one_way", "client", "random"]
SMALLEST = {"halves": 2, "minority": 3, "majority_ring": 4, "bridge": 3, "isolate": 2, "one_way": 2}
"""The minimum number of nodes for each shape that splits them."""


class PartitionConfig(FaultConfig):
    """The shape of the partition."""

    at: Duration = Duration("1s")
    every: Duration = Duration("3s")
    lasts: Duration = Duration("1500ms")
    kind: Shape = "random"
    """`halves`: two sides, one larger by a node if the number is odd. `minority`: fewer than half on one side.
    `majority_ring`: each node hears a majority, and no two hear the same one. `bridge`: two sides and a node that hears
    both. `isolate`: the target alone. `one_way`: the target is not heard, or does not hear. `random`: any of these,
    drawn anew each time. `client`: the target is a client that is cut off from all servers, and not from the workload's
    service."""
    target: str = "random"
    """isolate, one_way: a node's name, a role, `random` or `random_minority`. client: `client:NAME`, `random`, or a
    role that clients report."""
    clients: Literal["with_sides", "majority_only", "all"] = "with_sides"
    """`with_sides`: each client is on the side of some server and is cut off with it. `majority_only`: clients hear
    only servers that hear a majority. `all`: clients hear every server. Only clients cut off with a minority can read
    stale values."""


class PartitionFault(Fault):
    """Cuts links between servers, and the clients' links accordingly."""

    config: PartitionConfig

    @property
    def target(self) -> str:
        return self.config.target

    def validate_nodes(self, key: str, nodes: Sequence[NodeId], spares: Sequence[NodeId]) -> None:
        check_target(f"{key}.target", self.config.target, nodes, others=self.config.kind == CLIENT)
        least = 1 if self.config.kind == CLIENT else SMALLEST.get(self.config.kind, 2)
        if len(nodes) < least:
            raise ConfigError(
                f"{key}.kind={self.config.kind}", f"takes at least {least} nodes, and there are {len(nodes)}",
                f"Write nodes={least}.",
            )  # fmt: skip

    def inject(self, view: ClusterView) -> Injection | None:
        if self.config.kind == CLIENT:
            return self._cut_off_clients(view)
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

    def _cut_off_clients(self, view: ClusterView) -> Injection | None:
        target = "client:random" if self.config.target == "random" else self.config.target
        clients = [node for node in view.select(target, others=True) if node in view.clients]
        if not clients:
            return None
        token = view.token()

        def links(servers: Iterable[NodeId]) -> list[LinkName]:
            return [link for each in clients for server in servers for link in ((each, server), (server, each))]

        def extend(node: NodeId, rng: random.Random) -> Injection:
            return Injection((self._cut(token, links([node])),), detail=f"{node} joined, cut off from {named}")

        named = " ".join(clients)
        detail = f"client: {named} | {' '.join(view.nodes)}"
        return Injection((self._cut(token, links(view.nodes)),), (RestoreLinks(token),), tuple(clients), detail, extend)

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        return {"kind": "random", "target": rng.choice(("leader", "random"))}

    def _cut(self, token: int, links: Sequence[LinkName]) -> ImpairLinks:
        return ImpairLinks(token, tuple(links), Impairment(cut=True))

    def _shape(self, kind: str, view: ClusterView) -> tuple[Split, tuple[NodeId, ...], str]:
        """Returns the split, its target nodes, and a description."""
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
        """Returns the cut links between clients and `servers`. `beside` maps each client to the server on its side."""
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
    """A partitioned network: the directions between servers in which no message gets through.

    `sides` are the sides that a joining node may be put on; it is then cut off like the other nodes there.
    """

    def __init__(self, nodes: Sequence[NodeId], cut: Iterable[LinkName], *sides: Sequence[NodeId]) -> None:
        self.nodes, self.cut = list(nodes), set(cut)
        self._sides = [list(side) for side in sides if side]

    def hears(self, node: NodeId) -> int:
        """Returns how many nodes can communicate with `node` in both directions, including itself."""
        return sum((node, other) not in self.cut and (other, node) not in self.cut for other in self.nodes)

    def take_in(self, node: NodeId, rng: random.Random) -> tuple[str, list[LinkName]]:
        """Places a joining node. Returns a description of its place, and its cut links."""
        where, apart = self._place(node, rng)
        self.nodes.append(node)
        self.cut.update(apart)
        return f"{node} joined {where}", apart

    def _place(self, node: NodeId, rng: random.Random) -> tuple[str, list[LinkName]]:
        if not self._sides:  # every node is alone
            return "alone", [link for other in self.nodes for link in ((node, other), (other, node))]
        side = rng.choice(self._sides)
        like, where = side[0], f"on the side of {' '.join(side)}"
        side.append(node)
        apart = [(node, other) for other in self.nodes if (like, other) in self.cut]
        return where, apart + [(other, node) for other in self.nodes if (other, like) in self.cut]


class Ring(Split):
    """A ring in which each node, joining nodes included, hears enough neighbours to form a majority with itself."""

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
        """Returns the nodes that `node` does not hear: all but its neighbours."""
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
