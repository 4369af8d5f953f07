"""A replica: the newest version that it has been told of, of each register."""

from __future__ import annotations

from framework import DurableMap, Node, NodeId, durable_map, handles
from plugins.protocols.abd.messages import UNWRITTEN, Held, Propagate, Query, Stored, Version


class Replica(Node):
    """Answers clients, and never speaks to another replica."""

    versions: DurableMap[str, Version] = durable_map(str, Version)

    def version(self, key: str) -> Version:
        """What it holds of the register `key`."""
        return self.versions.get(key) or UNWRITTEN

    @handles(Query)
    def on_query(self, sender: NodeId, query: Query) -> None:
        self.send(sender, Held(query.operation, self.version(query.key)))

    @handles(Propagate)
    def on_propagate(self, sender: NodeId, propagate: Propagate) -> None:
        if propagate.version.timestamp > self.version(propagate.key).timestamp:
            self.versions[propagate.key] = propagate.version
        self.send(sender, Stored(propagate.operation))
