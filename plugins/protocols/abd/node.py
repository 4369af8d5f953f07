"""The replica. It holds the newest version that it has received of each register."""

from __future__ import annotations

from collections.abc import Collection

from framework import DurableMap, Node, NodeId, durable_map, handles
from plugins.protocols.abd.config import AbdConfig
from plugins.protocols.abd.messages import UNWRITTEN, Held, Propagate, Query, Stored, Version


class Replica(Node):
    """A replica. It answers clients, and never communicates with other replicas."""

    config: AbdConfig

    versions: DurableMap[str, Version] = durable_map(str, Version)

    def can_serve(self, running: Collection[NodeId]) -> bool:
        # In the order of the config, which determines the rows and columns of a grid.
        replicas = sorted((*self.peers, self.id), key=lambda node: (len(node), node))
        quorums = self.config.quorums.build(tuple(replicas))
        return quorums.phase1.reached(running) and quorums.phase2.reached(running)

    def version(self, key: str) -> Version:
        """Returns the version that this replica holds of the register `key`."""
        return self.versions.get(key) or UNWRITTEN

    @handles(Query)
    def on_query(self, sender: NodeId, query: Query) -> None:
        self.send(sender, Held(query.operation, self.version(query.key)))

    @handles(Propagate)
    def on_propagate(self, sender: NodeId, propagate: Propagate) -> None:
        if propagate.version.timestamp > self.version(propagate.key).timestamp:
            self.versions[propagate.key] = propagate.version
        self.send(sender, Stored(propagate.operation))
