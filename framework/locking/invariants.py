"""Invariants of distributed mutual exclusion. They hold of every node that keeps, in `inside`, its grants by lock.

| property | definition | source |
| --- | --- | --- |
| mutual exclusion | at most one node is in the critical section of a lock | Lamport 1978, condition I |
| grant order | nodes enter the critical section of a lock in the order of their tokens | |

Where tokens are the timestamps of requests, grant order is Lamport's condition II: requests are granted in the order in
which they are made. What concerns two nodes is checked with the 5 ms by which their steps may be reported out of order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from framework.checking.invariants import CLOCKS_APART, Invariant, Step
from framework.core.errors import Violation
from framework.core.message import NodeId
from framework.core.node import Node
from framework.locking.bound_client import Grant


class _Entries:
    """Finds the grants that begin and end at a node."""

    def __init__(self) -> None:
        self.inside: dict[NodeId, dict[str, Grant]] = {}

    def changes(self, step: Step, node: Node) -> Iterator[tuple[str, Grant | None]]:
        """Yields each lock whose grant has changed, with the new one; None if the node has left."""
        grants: Mapping[str, Grant] | None = getattr(node, "inside", None)
        if grants is None:
            return
        known = self.inside.setdefault(step.node, {})
        for key in [key for key in known if key not in grants]:
            del known[key]
            yield key, None
        for key, grant in grants.items():
            if known.get(key) != grant:
                known[key] = grant
                yield key, grant


@dataclass
class _Overlap:
    """Two nodes that seem to be inside at the same time, since when."""

    key: str
    nodes: tuple[NodeId, NodeId]
    since: int


class MutualExclusion(Invariant[Node]):
    """Checks mutual exclusion."""

    def __init__(self) -> None:
        self.entries = _Entries()
        self.inside: dict[str, dict[NodeId, Grant]] = {}
        self.overlaps: list[_Overlap] = []

    def observe(self, step: Step, node: Node) -> None:
        changes = list(self.entries.changes(step, node))
        if not changes and not self.overlaps:
            return
        for overlap in self.overlaps:
            if step.time > overlap.since + CLOCKS_APART:
                what = f"{' and '.join(overlap.nodes)} are in the critical section of {overlap.key}"
                raise Violation("mutual exclusion", overlap.nodes, what)
        for key, grant in changes:
            nodes = self.inside.setdefault(key, {})
            nodes.pop(step.node, None)
            self.overlaps = [each for each in self.overlaps if each.key != key or step.node not in each.nodes]
            if grant is not None:
                self.overlaps += [_Overlap(key, (other, step.node), step.time) for other in nodes]
                nodes[step.node] = grant

    def on_crash(self, node: NodeId) -> None:
        """Forgets nothing: the client of a node that has crashed is still in its critical section."""


class GrantOrder(Invariant[Node]):
    """Checks grant order."""

    def __init__(self) -> None:
        self.entries = _Entries()
        self.recent: dict[str, list[tuple[int, Grant, NodeId]]] = {}
        """The latest entries of each lock, with their times; the first has the highest token of those long past."""

    def observe(self, step: Step, node: Node) -> None:
        for key, grant in self.entries.changes(step, node):
            if grant is None:
                continue
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
