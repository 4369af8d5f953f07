"""Invariants of distributed mutual exclusion. They hold of every node that keeps, in `inside`, its grants by lock.

| property | definition | source |
| --- | --- | --- |
| mutual exclusion | at most one node is in the critical section of a lock | Lamport 1978, condition I |
| grant order | nodes enter the critical section of a lock in the order of their tokens | |

Where tokens are the timestamps of requests, grant order is Lamport's condition II: requests are granted in the order in
which they are made. What concerns two nodes is checked with the 5 ms by which their steps may be reported out of order.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from framework.checking.invariants import CLOCKS_APART, Invariant, Step
from framework.core.errors import Violation
from framework.core.message import NodeId
from framework.core.node import Node
from framework.locking.bound_client import Grant


@dataclass
class _Overlap:
    """Two nodes that seem to hold the same thing at the same time, since when."""

    thing: str
    nodes: tuple[NodeId, NodeId]
    since: int


class OneHolder(Invariant[Node]):
    """Base of invariants by which only one node at a time may hold something. `held` returns what a node holds now."""

    name: ClassVar[str]
    """The name of the property."""
    holds: ClassVar[str]
    """What nodes do, for a violation: `hold`."""

    def __init__(self) -> None:
        self.known: dict[NodeId, tuple[str, ...]] = {}
        self.holders: dict[str, dict[NodeId, None]] = {}
        self.overlaps: list[_Overlap] = []

    @abstractmethod
    def held(self, node: Node) -> Collection[str] | None:
        """Returns the names of what `node` holds; None if it is not a node to look at."""

    def observe(self, step: Step, node: Node) -> None:
        for overlap in self.overlaps:
            if step.time > overlap.since + CLOCKS_APART:
                raise Violation(self.name, overlap.nodes, f"{' and '.join(overlap.nodes)} {self.holds} {overlap.thing}")
        now = self.held(node)
        known = self.known.get(step.node, ())
        if now is None or known == (held := tuple(now)):
            return
        self.known[step.node] = held
        for thing in [thing for thing in known if thing not in held]:
            del self.holders[thing][step.node]
            self.overlaps = [each for each in self.overlaps if each.thing != thing or step.node not in each.nodes]
        for thing in [thing for thing in held if thing not in known]:
            holders = self.holders.setdefault(thing, {})
            self.overlaps += [_Overlap(thing, (other, step.node), step.time) for other in holders]
            holders[step.node] = None

    def on_crash(self, node: NodeId) -> None:
        """Forgets nothing: the client of a node that has crashed is still in its critical section."""


class MutualExclusion(OneHolder):
    """Checks mutual exclusion."""

    name = "mutual exclusion"
    holds = "are in the critical section of"

    def held(self, node: Node) -> Collection[str] | None:
        inside: Mapping[str, Grant] | None = getattr(node, "inside", None)
        return inside if inside is None else list(inside)


class GrantOrder(Invariant[Node]):
    """Checks grant order."""

    def __init__(self) -> None:
        self.known: dict[tuple[NodeId, str], Grant] = {}
        self.recent: dict[str, list[tuple[int, Grant, NodeId]]] = {}
        """The latest entries of each lock, with their times; the first has the highest token of those long past."""

    def grants(self, node: Node) -> Mapping[str, Grant] | None:
        """Returns the present grants of `node`; None if it is not a node to look at."""
        inside: Mapping[str, Grant] | None = getattr(node, "inside", None)
        return inside

    def observe(self, step: Step, node: Node) -> None:
        for key, grant in (self.grants(node) or {}).items():
            if self.known.get((step.node, key)) == grant:
                continue
            self.known[step.node, key] = grant
            entries = self.recent.setdefault(key, [])
            past = [entry for entry in entries if entry[0] <= step.time - CLOCKS_APART]
            if past:
                highest: Any = max(past, key=lambda entry: entry[1].token)
                if grant.token < highest[1].token:
                    what = (
                        f"{step.node} enters {key} with token {grant.token}, after {highest[2]} with {highest[1].token}"
                    )
                    raise Violation("grant order", (highest[2], step.node), what)
                entries[:] = [highest, *(entry for entry in entries if entry not in past)]
            entries.append((step.time, grant, step.node))


LOCK_INVARIANTS: tuple[type[Invariant[Any]], ...] = (MutualExclusion, GrantOrder)
"""The invariants of protocols of mutual exclusion."""
