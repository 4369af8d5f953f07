"""Invariants of the cache.

| property | definition |
| --- | --- |
| epoch order | the directory's epoch never decreases, restarts included; nor does that of a cache while it runs |
| one list an epoch | all nodes and clients that know an epoch know the same list of caches |
| own entries | a cache holds entries of its own shards only, and none unless it is on its list |
| capacity | a cache holds no more entries than it may |

The cost of a step is constant, but for the first one of a cache in an epoch.
"""

from __future__ import annotations

from framework import Invariant, Node, NodeId, Step, Violation
from plugins.protocols.cache.client import CacheClient
from plugins.protocols.cache.directory import Directory
from plugins.protocols.cache.messages import View
from plugins.protocols.cache.server import Cache


class Lists(Invariant[Node]):
    """Checks epoch order, and one list an epoch."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[View, NodeId]] = {}
        self.epochs: dict[NodeId, int] = {}

    def observe(self, step: Step, node: Node) -> None:
        if isinstance(node, Directory):
            self._check_order(step, node.epoch, durable=True)
            self._check(step.node, node.views[node.epoch])
        elif isinstance(node, Cache | CacheClient) and node.view is not None:
            if isinstance(node, Cache):
                self._check_order(step, node.view.epoch, durable=False)
            self._check(step.node, node.view)

    def _check_order(self, step: Step, epoch: int, *, durable: bool) -> None:
        before = self.epochs.get(step.node, 0)
        self.epochs[step.node] = epoch
        if epoch < before and (durable or not step.started):
            raise Violation("epoch order", (step.node,), f"went back from epoch {before} to {epoch}")

    def _check(self, name: NodeId, view: View) -> None:
        known, where = self.known.setdefault(view.epoch, (view, name))
        if known.admitted != view.admitted:
            what = f"epoch {view.epoch} has the caches {', '.join(known.caches)} at {where}, and {', '.join(view.caches)} at {name}"
            raise Violation("one list an epoch", dict.fromkeys((where, name)), what)


class Entries(Invariant[Cache]):
    """Checks own entries, and capacity. All entries are looked at when an epoch begins, then the one used last."""

    def __init__(self) -> None:
        self.epochs: dict[NodeId, int] = {}

    def observe(self, step: Step, node: Cache) -> None:
        if not node.entries:
            return
        name, epoch = step.node, 0 if node.view is None else node.view.epoch
        if node.view is None or name not in node.view.caches:
            raise Violation(
                "own entries", (name,), f"holds {len(node.entries)} entries, but is not a cache in epoch {epoch}"
            )
        if len(node.entries) > node.config.capacity:
            what = f"holds {len(node.entries)} entries, and has room for {node.config.capacity}"
            raise Violation("capacity", (name,), what)
        begins = step.started or self.epochs.get(name) != epoch
        self.epochs[name] = epoch
        for key in node.entries if begins else (next(reversed(node.entries)),):
            if node.owner(key) != name:
                what = f"holds {key} in epoch {epoch}, in which it belongs to {node.owner(key)}"
                raise Violation("own entries", (name,), what)


INVARIANTS = (Lists, Entries)
