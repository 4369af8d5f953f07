"""The kit finds placements that are broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from framework import PLACEMENT_CHECKS, Hashes, Indices, NodeId, Placement, PlacementConfig
from framework.testing.conformance import NotConforming
from plugins.placements.jump import Jump
from plugins.placements.maglev import Maglev, MaglevConfig
from plugins.placements.modulo import Modulo
from plugins.placements.rendezvous import Rendezvous, RendezvousConfig
from plugins.placements.ring import Ring, RingConfig


class ForgetsWeights(Ring):
    """All nodes have as many points."""

    def add(self, node: NodeId, weight: float = 1.0, *, zone: str = "", rack: str = "") -> None:
        super().add(node, 1.0, zone=zone, rack=rack)


class SquaresWeights(Rendezvous):
    """The weight counts twice."""

    def rebuild(self) -> None:
        super().rebuild()
        if self._weights is not None:
            self._weights = [weight**2 for weight in self._weights]


class BreaksTiesByAge(Ring):
    """Of points at one place, that of the node which came first wins; and there are few places."""

    def __init__(self, config: RingConfig, nodes: Iterable[NodeId] = ()) -> None:
        self.age: list[NodeId] = []
        super().__init__(config, nodes)

    def add(self, node: NodeId, weight: float = 1.0, *, zone: str = "", rack: str = "") -> None:
        self.age.append(node)
        super().add(node, weight, zone=zone, rack=rack)

    def rebuild(self) -> None:
        places = {node: place for place, node in enumerate(self.age)}
        known = {
            node: self.hash_many(f"{node}#{number}" for number in range(100)) & np.uint64(0xFF << 56)
            for node in self.nodes
        }
        owners = np.repeat(np.arange(len(self.nodes), dtype=np.int32), 100)
        ages = np.repeat([places[node] for node in self.nodes], 100)
        points = np.concatenate([known[node] for node in self.nodes])
        order = np.lexsort((ages, points))
        self._points, self._owners = points[order], owners[order]
        self._point_list, self._owner_list = self._points.tolist(), self._owners[[*range(len(order)), 0]].tolist()


class CountsANodeTwice(Modulo):
    """Two replicas may be on one node."""

    def locate_many(self, hashes: Hashes, count: int = 1) -> Indices:
        return np.repeat(super().locate_many(hashes), count, axis=1)

    def locate(self, id: Any, count: int = 1) -> tuple[NodeId, ...]:
        return super().locate(id) * count


class ForgetsDomains(Rendezvous):
    """All nodes are in one zone."""

    def add(self, node: NodeId, weight: float = 1.0, *, zone: str = "", rack: str = "") -> None:
        super().add(node, weight)


class UsesPythonsHash(Modulo):
    """The hash of Python, which differs from process to process."""

    def hash(self, id: Any) -> int:
        return hash(id) % 2**64

    def hash_many(self, ids: Iterable[Any]) -> Hashes:
        return np.array([self.hash(id) for id in ids], dtype=np.uint64)

    def locate(self, id: Any, count: int = 1) -> tuple[NodeId, ...]:
        self._check_count(count) if self.nodes else super().locate(id, count)
        return tuple(self.nodes[index] for index in self._chosen(self.hash(id), count))


class PromisesTooMuch(Maglev):
    """Maglev moves a little more than it must."""

    moves_minimally_on = ("remove",)


class InsertsItsBuckets(Jump):
    """Jump's buckets are in the order of names after each removal as well."""

    moves_minimally_on = ("add_last", "remove_last", "remove")


class RoundsDifferently(Rendezvous):
    """One look-up and many use different scores."""

    def column(self, hashes: Hashes, position: int) -> Indices:
        return super().column(hashes ^ np.uint64(1), position)


class TakesANodeTwice(Ring):
    """A node that is there is added again without a word."""

    def add(self, node: NodeId, weight: float = 1.0, *, zone: str = "", rack: str = "") -> None:
        if node not in self._by_name:
            super().add(node, weight, zone=zone, rack=rack)


class FillsInAge(Maglev):
    """Nodes fill the table in the order in which they came."""

    def rebuild(self) -> None:
        self._members = tuple(self._by_name.values())
        self._nodes = tuple(self._by_name)
        super().rebuild()


BROKEN: dict[str, tuple[Callable[[], Placement], set[str]]] = {
    "forgets weights": (lambda: ForgetsWeights(RingConfig()), {"heeds_weights", "refuses_what_cannot_be"}),
    "squares weights": (lambda: SquaresWeights(RendezvousConfig()), {"heeds_weights"}),
    "breaks ties by age": (lambda: BreaksTiesByAge(RingConfig()), {"ignores_the_order_of_nodes"}),
    "counts a node twice": (
        lambda: CountsANodeTwice(PlacementConfig()),
        {"locates_one_as_many", "spreads_over_domains", "refuses_what_cannot_be"},
    ),
    "forgets domains": (lambda: ForgetsDomains(RendezvousConfig()), {"spreads_over_domains"}),
    "uses Python's hash": (lambda: UsesPythonsHash(PlacementConfig()), {"is_the_same_in_another_process"}),
    "promises too much": (lambda: PromisesTooMuch(MaglevConfig(table_size=1009)), {"moves_minimally"}),
    "inserts its buckets": (lambda: InsertsItsBuckets(PlacementConfig()), {"moves_minimally"}),
    "rounds differently": (lambda: RoundsDifferently(RendezvousConfig()), {"locates_one_as_many"}),
    "takes a node twice": (lambda: TakesANodeTwice(RingConfig()), {"refuses_what_cannot_be"}),
    "fills in age": (lambda: FillsInAge(MaglevConfig(table_size=1009)), {"ignores_the_order_of_nodes"}),
}
"""What makes a broken placement, and the checks that find it."""


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_placement_is_found(name: str) -> None:
    make, finders = BROKEN[name]
    for check in PLACEMENT_CHECKS:
        if check.__name__ in finders:
            with pytest.raises(NotConforming):
                check(make)
