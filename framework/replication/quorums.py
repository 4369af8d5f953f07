"""Quorum systems: the sets of nodes that may act for all of them.

| kind | a quorum is | source |
| --- | --- | --- |
| `Majority` | more than half of the nodes | Thomas, 1979 |
| `Threshold` | any `count` of the nodes | Howard, Malkhi and Spiegelman, Flexible Paxos, OPODIS 2016 |
| `Weighted` | nodes that hold more than half of all votes | Gifford, Weighted Voting for Replicated Data, SOSP 1979 |
| `OneOf` | any of the groups listed: the rows of a grid, its columns | Flexible Paxos, section 5 |
| `Joint` | a quorum of both of two systems | Ongaro, Raft, section 6 |

Every superset of a quorum is a quorum. A `QuorumSystem` has the quorums of two phases. The first phase finds what the
second has decided only if every quorum of the one intersects every quorum of the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, combinations, takewhile
from operator import itemgetter
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from framework.core.errors import ConfigError, did_you_mean
from framework.core.message import Config, NodeId

Quorum: TypeAlias = tuple[NodeId, ...]


class Quorums(ABC):
    """The quorums over a fixed set of nodes, as immutable plain data. Raises ValueError if no quorum is possible."""

    nodes: tuple[NodeId, ...]

    @abstractmethod
    def reached(self, by: Collection[NodeId]) -> bool:
        """Returns whether `by` contains a quorum. Foreign nodes do not count."""

    @abstractmethod
    def held(self, marks: Mapping[NodeId, int]) -> int:
        """Returns the highest mark reached by every member of some quorum, such as a commit index.

        Absent marks are 0.
        """

    def smallest(self, first: NodeId | None = None) -> Quorum:
        """Returns a quorum of the smallest size, if possible one that contains `first`."""
        found = self.quorums()
        least = next(found)
        alike = chain([least], takewhile(lambda quorum: len(quorum) == len(least), found))
        return next((quorum for quorum in alike if first in quorum), least)

    def quorums(self) -> Iterator[Quorum]:
        """Yields every quorum, the smaller ones first; may omit supersets. Exponential in the number of nodes."""
        sizes = range(1, len(self.nodes) + 1)
        return (some for size in sizes for some in combinations(self.nodes, size) if self.reached(some))

    def within(self, some: Sequence[NodeId]) -> Quorum | None:
        """Returns a minimal quorum among `some`; None if they contain no quorum."""
        if not self.reached(some):
            return None
        left = list(some)
        for node in reversed(some):
            if self.reached(fewer := [other for other in left if other != node]):
                left = fewer
        return tuple(left)


@dataclass(frozen=True)
class Threshold(Quorums):
    """Any `count` of the nodes."""

    nodes: tuple[NodeId, ...]
    count: int

    def __post_init__(self) -> None:
        _check_nodes(self.nodes)
        if not 1 <= self.count <= len(self.nodes):
            raise ValueError(f"{self.count} of {len(self.nodes)} nodes can never be a quorum")

    def reached(self, by: Collection[NodeId]) -> bool:
        return sum([node in by for node in self.nodes]) >= self.count

    def held(self, marks: Mapping[NodeId, int]) -> int:
        if len(marks) >= len(self.nodes):  # fast path of a leader, at each acknowledgement
            try:
                return sorted(self._marks_of_all(marks))[-self.count]
            except KeyError:
                pass
        return sorted([marks.get(node, 0) for node in self.nodes])[-self.count]

    def smallest(self, first: NodeId | None = None) -> Quorum:
        return tuple(sorted(self.nodes, key=lambda node: node != first)[: self.count])

    @cached_property
    def _marks_of_all(self) -> Callable[[Mapping[NodeId, int]], tuple[int, ...]]:
        """A getter of all nodes' marks, which raises KeyError if one is missing."""
        twice = self.nodes if len(self.nodes) == 1 else ()  # an itemgetter of one item returns no tuple
        return itemgetter(*self.nodes, *twice)


class Majority(Threshold):
    """More than half of the nodes."""

    def __init__(self, nodes: tuple[NodeId, ...]) -> None:
        super().__init__(nodes, len(nodes) // 2 + 1)


@dataclass(frozen=True)
class Weighted(Quorums):
    """Nodes that hold more than half of all votes; `weights` are the votes of `nodes`, in the same order."""

    nodes: tuple[NodeId, ...]
    weights: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_nodes(self.nodes)
        if len(self.weights) != len(self.nodes) or min(self.weights) < 0 or not any(self.weights):
            raise ValueError(
                f"weights {list(self.weights)} of {len(self.nodes)} nodes: give each 0 or more, one above 0"
            )

    def reached(self, by: Collection[NodeId]) -> bool:
        votes = sum(weight for node, weight in zip(self.nodes, self.weights, strict=True) if node in by)
        return 2 * votes > sum(self.weights)

    def held(self, marks: Mapping[NodeId, int]) -> int:
        votes = every = sum(self.weights)
        ranked = sorted(zip([marks.get(node, 0) for node in self.nodes], self.weights, strict=True))
        return next(mark for mark, weight in ranked if 2 * (votes := votes - weight) <= every)

    def smallest(self, first: NodeId | None = None) -> Quorum:
        weight = dict(zip(self.nodes, self.weights, strict=True))
        heaviest = sorted(self.nodes, key=lambda node: -weight[node])
        size = next(size for size in range(1, len(heaviest) + 1) if self.reached(heaviest[:size]))
        around = tuple(sorted(heaviest, key=lambda node: node != first)[:size])
        return around if self.reached(around) else tuple(heaviest[:size])


@dataclass(frozen=True)
class OneOf(Quorums):
    """All nodes of one of the groups: `OneOf(grid_rows(nodes, 2))`."""

    groups: tuple[Quorum, ...]
    nodes: tuple[NodeId, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.groups or not all(self.groups):
            raise ValueError(
                "a group without nodes is not a quorum: give one or more groups, each of one or more nodes"
            )
        for group in self.groups:
            _check_nodes(group)
        object.__setattr__(self, "nodes", tuple(dict.fromkeys(chain.from_iterable(self.groups))))

    def reached(self, by: Collection[NodeId]) -> bool:
        return any(all(node in by for node in group) for group in self.groups)

    def held(self, marks: Mapping[NodeId, int]) -> int:
        return max(min(marks.get(node, 0) for node in group) for group in self.groups)

    def quorums(self) -> Iterator[Quorum]:
        return iter(sorted(self.groups, key=len))


@dataclass(frozen=True)
class Joint(Quorums):
    """A quorum of `old` together with one of `new`, for changes of membership."""

    old: Quorums
    new: Quorums
    nodes: tuple[NodeId, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(dict.fromkeys((*self.old.nodes, *self.new.nodes))))

    def reached(self, by: Collection[NodeId]) -> bool:
        return self.old.reached(by) and self.new.reached(by)

    def held(self, marks: Mapping[NodeId, int]) -> int:
        return min(self.old.held(marks), self.new.held(marks))


def grid_rows(nodes: Sequence[NodeId], rows: int) -> tuple[Quorum, ...]:
    """Returns the rows of a grid of `nodes`, filled row by row. Raises ValueError unless they fill it."""
    if rows < 1 or not nodes or len(nodes) % rows:
        raise ValueError(f"{len(nodes)} nodes do not fill {rows} rows")
    width = len(nodes) // rows
    return tuple(tuple(nodes[start : start + width]) for start in range(0, len(nodes), width))


def grid_columns(nodes: Sequence[NodeId], rows: int) -> tuple[Quorum, ...]:
    """Returns the columns of the grid whose rows `grid_rows` returns."""
    return tuple(zip(*grid_rows(nodes, rows), strict=True))


@dataclass(frozen=True)
class QuorumSystem:
    """The quorums of two phases over the same nodes: in Paxos, of Prepare and of Accept."""

    phase1: Quorums
    phase2: Quorums

    def __post_init__(self) -> None:
        if set(self.phase1.nodes) != set(self.phase2.nodes):
            raise ValueError("the quorums of the two phases are over different nodes")

    def disjoint(self) -> tuple[Quorum, Quorum] | None:
        """Returns a quorum of phase 1 and one of phase 2 that share no node; None if there are none.

        The result is exact. Exponential in the number of nodes if the phases have different weights or are joint.
        """
        if isinstance(self.phase1, Threshold):  # only sizes count: the smallest quorum of phase 2 is the worst case
            quorum2 = self.phase2.smallest()
            quorum1 = self.phase1.within(self._without(quorum2))
            return None if quorum1 is None else (quorum1, quorum2)
        if isinstance(self.phase1, Weighted) and self.phase1 == self.phase2:
            return None  # two majorities of the same votes intersect
        for quorum1 in self.phase1.quorums():
            if (other := self.phase2.within(self._without(quorum1))) is not None:
                return quorum1, other
        return None

    def _without(self, quorum: Quorum) -> Quorum:
        return tuple(node for node in self.phase1.nodes if node not in quorum)


class QuorumConfig(Config):
    """A protocol's choice of quorums. Raises ValueError for settings that the kind does not use."""

    kind: Literal["majority", "flexible", "grid", "weighted"] = "majority"
    """majority; flexible: `phase1` and `phase2` nodes; grid: a row in phase 1, a column in phase
    2; weighted: a majority of the votes."""
    phase1: Annotated[int, Meta(ge=0)] = 0
    """flexible: the size of a quorum of phase 1; 0: the smallest that intersects every quorum of phase 2."""
    phase2: Annotated[int, Meta(ge=0)] = 0
    """flexible: the same for phase 2."""
    rows: Annotated[int, Meta(ge=0)] = 0
    """grid: the number of rows. Rows times columns is the number of nodes; if one is 0, it follows from the other."""
    columns: Annotated[int, Meta(ge=0)] = 0
    """grid: see `rows`."""
    weights: dict[NodeId, Annotated[int, Meta(ge=0)]] = {}
    """weighted: the votes of each node; 1 for nodes that are not named."""
    unsafe: bool = False
    """Allows quorums of the two phases to be disjoint, to see a protocol break."""

    def __post_init__(self) -> None:
        for kind, names in {
            "flexible": ("phase1", "phase2"),
            "grid": ("rows", "columns"),
            "weighted": ("weights",),
        }.items():
            given = [name for name in names if getattr(self, name)]
            if given and kind != self.kind:
                raise ValueError(f"{given[0]}={getattr(self, given[0])} is for kind={kind}, not for kind={self.kind}")
            if not given and kind == self.kind:
                raise ValueError(f"kind={kind} needs {' or '.join(names)}")

    def validate_nodes(self, key: str, nodes: tuple[NodeId, ...]) -> None:
        for name in self.weights:
            if name not in nodes:
                what = f"there is no node {name!r} among those that vote"
                raise ConfigError(f"{key}.weights", what, did_you_mean(name, nodes))
        try:
            self.build(nodes)
        except ValueError as error:
            raise ConfigError(key, str(error)) from error

    def build(self, nodes: tuple[NodeId, ...]) -> QuorumSystem:
        """Builds the quorums over `nodes`.

        Raises ValueError if none can be reached, or, unless `unsafe`, if quorums of the two phases can be disjoint.
        """
        system = self._system(nodes)
        pair = None if self.unsafe else system.disjoint()
        if pair is not None:
            first, second = (", ".join(quorum) for quorum in pair)
            raise ValueError(
                f"kind={self.kind}: phase 1 may end with {first} and phase 2 with {second}, which share no node: "
                "enlarge the quorums of one phase, or allow it with unsafe=true"
            )
        return system

    def _system(self, nodes: tuple[NodeId, ...]) -> QuorumSystem:
        if self.kind == "flexible":
            return self._flexible(nodes)
        if self.kind == "grid":
            return self._grid(nodes)
        every = self._weighted(nodes) if self.kind == "weighted" else Majority(nodes)
        return QuorumSystem(every, every)

    def _flexible(self, nodes: tuple[NodeId, ...]) -> QuorumSystem:
        for name in ("phase1", "phase2"):
            if getattr(self, name) > len(nodes):
                raise ValueError(f"{name}={getattr(self, name)} of {len(nodes)} nodes can never be a quorum")
        phase1 = self.phase1 or len(nodes) - self.phase2 + 1
        phase2 = self.phase2 or len(nodes) - self.phase1 + 1
        return QuorumSystem(Threshold(nodes, phase1), Threshold(nodes, phase2))

    def _grid(self, nodes: tuple[NodeId, ...]) -> QuorumSystem:
        rows = self.rows or len(nodes) // self.columns
        columns = self.columns or len(nodes) // self.rows
        if rows * columns != len(nodes) or not nodes:
            raise ValueError(
                f"rows={rows} columns={columns}: {len(nodes)} nodes do not fill a grid of {rows}x{columns}"
            )
        return QuorumSystem(OneOf(grid_rows(nodes, rows)), OneOf(grid_columns(nodes, rows)))

    def _weighted(self, nodes: tuple[NodeId, ...]) -> Weighted:
        return Weighted(nodes, tuple(self.weights.get(node, 1) for node in nodes))


def _check_nodes(nodes: Sequence[NodeId]) -> None:
    if not nodes:
        raise ValueError("there are no nodes, so there is no quorum")
    if len(set(nodes)) < len(nodes):
        raise ValueError(f"a node is named twice in {', '.join(nodes)}")
