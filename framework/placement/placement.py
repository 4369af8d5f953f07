"""Placements: functions from ids to nodes that change little when nodes come and go.

    placement = Ring(RingConfig(points=100))
    for node in ("n1", "n2", "n3"):
        placement.add(node)
    placement.locate("user:17")            # ("n2",)
    placement.locate("user:17", count=2)   # ("n2", "n3"): the nodes of two replicas, in order of preference
    placement.remove("n2")

The answers depend on the nodes, their weights, their domains and the seed alone: not on the process, and not on the
order in which nodes were added.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import count as counted
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from framework.core.errors import did_you_mean
from framework.core.message import Config, NodeId, Record
from framework.core.plugin_choice import PluginChoice
from framework.core.tracebacks import check_initialized
from framework.core.weight import check_weight
from framework.placement.hashing import (
    Hashes,
    HashName,
    Id,
    Indices,
    as_hashed,
    hash_function,
    hash_many,
    rehashed,
    rehashed_many,
)

NodeChange: TypeAlias = Literal["add", "add_last", "remove", "remove_last"]
"""A change of the nodes; `last` means the node whose name sorts last."""

_PATIENCE = 64
"""The candidates looked at, for each node, before the nodes that are still missing are taken in order."""


class PlacementConfig(Config):
    """Base of the config of every placement."""

    hash: HashName = "xxh3_64"
    """The hash function of ids and of nodes."""
    seed: int = 0
    """Seed of the hash function: another seed places everything elsewhere."""


class Member(Record):
    """A node of a placement: its share of the ids relative to others, and where it stands. Replicas are put into
    different zones as long as there are any, then into different racks."""

    node: NodeId
    weight: float = 1.0
    zone: str = ""
    rack: str = ""


class Placement(ABC):
    """A strategy of placement. A plugin derives from it, and says what it promises:

    - `weights`: whether nodes may have different weights;
    - `moves_minimally_on`: the changes on which ids move only to the node that came, or only away from the one that went;
    - `max_count`: the largest number of replicas that it places; None if it is the number of nodes;
    - `places_known_ids`: whether it places only the ids that were given to `place`.

    It implements `rebuild`, `first` and `candidates` for one id, and `column` for many; see these methods. It may use
    `self.config`, `self.members` and `self.nodes`.
    """

    weights: ClassVar[bool] = False
    moves_minimally_on: ClassVar[tuple[NodeChange, ...]] = ()
    max_count: ClassVar[int | None] = None
    places_known_ids: ClassVar[bool] = False

    def __init__(self, config: Any, nodes: Iterable[NodeId] = ()) -> None:
        self.config = config
        self._by_name: dict[NodeId, Member] = {}
        self._members: tuple[Member, ...] = ()
        self._nodes: tuple[NodeId, ...] = ()
        self._hash, self._seed = hash_function(self.config.hash), int(self.config.seed)
        self._zones = self._racks = np.zeros(0, dtype=np.int32)
        self._levels: tuple[int, int] = (0, 0)
        self._stale = False
        for node in nodes:
            self.add(node)

    # The nodes.

    def add(self, node: NodeId, weight: float = 1.0, *, zone: str = "", rack: str = "") -> None:
        """Adds a node. Raises ValueError if it is there already, or if the weight is impossible here."""
        if node in self._by_name:
            raise ValueError(f"node {node} is there already")
        check_weight(f"node {node}", weight)
        if weight != 1 and not self.weights:
            raise ValueError(f"node {node}: {type(self).__name__} knows no weights, so its weight is 1, not {weight}")
        self._by_name[node] = Member(node, weight, zone, rack)
        self._stale = True

    def remove(self, node: NodeId) -> None:
        """Removes a node. Raises ValueError if it is not there."""
        if node not in self._by_name:
            raise ValueError(f"there is no node {node}. {did_you_mean(node, self._by_name)}".strip())
        del self._by_name[node]
        self._stale = True

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """The nodes, sorted by name (n2 before n10); `locate_many` returns indices into this."""
        if self._stale:
            self._update()
        return self._nodes

    @property
    def members(self) -> tuple[Member, ...]:
        """The nodes with their weights and domains, in the order of `nodes`."""
        if self._stale:
            self._update()
        return self._members

    # Where ids are.

    def hash(self, id: Id) -> int:
        """Returns the hash of an id."""
        return self._hash(as_hashed(id), self._seed)

    def hash_many(self, ids: Iterable[Id]) -> Hashes:
        """Returns the hashes of many ids, for `locate_many`."""
        return hash_many(ids, self.config.hash, self._seed)

    def locate(self, id: Id, count: int = 1) -> tuple[NodeId, ...]:
        """Returns the nodes of an id, `count` different ones in order of preference.

        Raises ValueError if there are fewer nodes, or if the placement cannot tell so many.
        """
        if self._stale:
            self._update()
        if count == 1 and self._nodes:
            return (self._nodes[self.first(self._hash(id.encode() if type(id) is str else as_hashed(id), self._seed))],)
        self._check_count(count)
        return tuple(self._nodes[index] for index in self._chosen(self.hash(id), count))

    def locate_many(self, hashes: Hashes, count: int = 1) -> Indices:
        """Returns the nodes of many ids, given their hashes (uint64, shape [n]), as indices into `nodes` (int32, shape
        [n, count]). They are those that `locate` returns. Raises ValueError as `locate` does."""
        if self._stale:
            self._update()
        self._check_count(count)
        hashes = np.ascontiguousarray(hashes, dtype=np.uint64)
        if count == 1:
            return self.column(hashes, 0).reshape(-1, 1)
        return self._chosen_many(hashes, count)

    def place(self, ids: Iterable[Id]) -> None:
        """Says which ids there are. Only placements that weigh ids against one another need to know: they place these
        and no others."""

    def preferences(self, hash: int) -> Iterator[int]:
        """Yields the indices of all nodes in order of preference, each once, whatever their domains."""
        if self._stale:
            self._update()
        seen: dict[int, None] = {}
        for index in self._candidates(hash):
            if index not in seen:
                seen[index] = None
                yield index
            if len(seen) == len(self._nodes):
                return

    # What a strategy implements.

    @abstractmethod
    def rebuild(self) -> None:
        """Called before the next look-up after nodes have changed; there is one node or more."""

    @abstractmethod
    def first(self, hash: int) -> int:
        """Returns the index of the node that comes first for an id."""

    @abstractmethod
    def candidates(self, hash: int) -> Iterator[int]:
        """Yields the indices of nodes in order of preference, `first` first, without end; they may repeat."""

    @abstractmethod
    def column(self, hashes: Hashes, position: int) -> Indices:
        """Returns what `candidates` yields at a position, for many hashes (int32, shape [n])."""

    # How replicas are chosen among the candidates.

    def _update(self) -> None:
        self._stale = False
        self._members = tuple(sorted(self._by_name.values(), key=_order))
        self._nodes = tuple(member.node for member in self._members)
        zones = [member.zone for member in self._members]
        racks = [(member.zone, member.rack) for member in self._members]
        self._zones, self._racks = _numbered(zones), _numbered(racks)
        self._levels = (len(set(zones)), len(set(racks)))
        if self._members:
            self.rebuild()

    def _check_count(self, count: int) -> None:
        if not self._nodes:
            raise ValueError("there are no nodes to place anything on")
        if not 1 <= count <= len(self._nodes):
            raise ValueError(f"{count} replicas need {count} nodes, and there are {len(self._nodes)}")
        if self.max_count is not None and count > self.max_count:
            raise ValueError(f"{type(self).__name__} places {self.max_count} replicas at most, not {count}")

    def _domains(self, replica: int) -> Indices:
        """Returns what must differ between a replica and those before it: the zone while there are zones without one,
        then the rack, then the node."""
        if replica < self._levels[0]:
            return self._zones
        return self._racks if replica < self._levels[1] else np.arange(len(self._nodes), dtype=np.int32)

    def _chosen(self, hash: int, count: int) -> list[int]:
        seen: list[int] = []
        more = self.preferences(hash)
        chosen: list[int] = []
        for replica in range(count):
            domains = self._domains(replica)
            taken = {int(domains[index]) for index in chosen}
            found = next((index for index in seen if int(domains[index]) not in taken), None)
            while found is None:
                index = next(more)
                seen.append(index)
                if int(domains[index]) not in taken:
                    found = index
            chosen.append(found)
        return chosen

    def _candidates(self, hash: int) -> Iterator[int]:
        """Yields the candidates, and then all nodes in order, so that everyone comes up some time."""
        for position, index in enumerate(self.candidates(hash)):
            if position == _PATIENCE * len(self._nodes):
                break
            yield index
        yield from range(len(self._nodes))

    def _chosen_many(self, hashes: Hashes, count: int) -> Indices:
        size = len(hashes)
        chosen = np.full((size, count), -1, dtype=np.int32)
        columns: list[Indices] = []
        for replica in range(count):
            domains = self._domains(replica)
            taken = domains[chosen[:, :replica]]  # shape [size, replica]
            missing = np.arange(size)
            position = 0
            while len(missing):
                if position == len(columns):
                    columns.append(self._column(hashes, position))
                candidate = columns[position][missing]
                clashes = (taken[missing] == domains[candidate][:, None]).any(axis=1)
                chosen[missing[~clashes], replica] = candidate[~clashes]
                missing = missing[clashes]
                position += 1
        return chosen

    def _column(self, hashes: Hashes, position: int) -> Indices:
        limit = _PATIENCE * len(self._nodes)
        if position < limit:
            return self.column(hashes, position)
        return np.full(len(hashes), position - limit, dtype=np.int32)


class RehashedPlacement(Placement):
    """Base of placements that know one node for each hash: further replicas are those of the id's further hashes, until
    they differ. What they promise of movement they promise of the first replica alone."""

    @abstractmethod
    def first_many(self, hashes: Hashes) -> Indices:
        """Returns `first` of each hash (int32, shape [n])."""

    def candidates(self, hash: int) -> Iterator[int]:
        for attempt in counted():
            yield self.first(rehashed(hash, attempt))

    def column(self, hashes: Hashes, position: int) -> Indices:
        return self.first_many(rehashed_many(hashes, position))


class PlacementChoice(PluginChoice):
    """A placement chosen by config.

    A protocol whose config has the field `placement: PlacementChoice | None = None` is given the one that the run
    chooses with `placement=NAME`. It makes its own: `self.config.placement.make(self.roles["cache"])`. A field with a
    default, `over: PlacementChoice = PlacementChoice("ring")`, is chosen by `KEY.over=NAME KEY.over_config.points=50`.
    """

    group: ClassVar[str] = "placement"

    placement: Any = None
    """The class."""

    def make(self, nodes: Iterable[NodeId] = (), members: Mapping[NodeId, Member] | None = None) -> Placement:
        """Returns a new placement of `nodes`, with the weights and domains that `members` gives to some of them."""
        made: Placement = self.placement(self.config)
        check_initialized(made, "config", f"placement={self.name}")
        for node in nodes:
            member = (members or {}).get(node) or Member(node)
            made.add(node, member.weight, zone=member.zone, rack=member.rack)
        return made

    def make_weighted(self, weights: Mapping[NodeId, float]) -> Placement:
        """Returns a new placement of the nodes that `weights` names, with these weights if it knows any, else with
        equal ones."""
        made = self.make()
        for node, weight in weights.items():
            made.add(node, weight if made.weights else 1.0)
        return made


def _order(member: Member) -> tuple[tuple[int | str, ...], NodeId]:
    """Returns the key by which nodes are sorted: numbers in names count as numbers."""
    parts = re.split(r"(\d+)", member.node)
    return tuple(int(part) if part.isdecimal() else part for part in parts), member.node


def _numbered(values: list[Any]) -> Indices:
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(each, len(numbers)) for each in values], dtype=np.int32)
