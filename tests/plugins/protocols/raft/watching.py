"""Raft's invariants at work on a cluster driven by hand, each observation held against the naive twin's."""

from __future__ import annotations

from framework import NodeId, Violation
from framework.checking.monitors import Halt, Monitors
from framework.testing.cluster import Cluster
from plugins.protocols.raft.invariants import INVARIANTS
from tests.plugins.protocols.raft.properties import Properties


class Blind(Exception):
    """The invariants missed something."""


class Watching:
    """Shows a server to the invariants whenever it has written a batch. Violation as soon as one breaks.

    With a `twin`, Blind if that sees something broken that the invariants do not.
    """

    def __init__(self, cluster: Cluster, twin: Properties | None = None) -> None:
        self.cluster, self.twin = cluster, twin
        self.monitors = Monitors(INVARIANTS)
        self.batches = 0
        cluster.on_commit = self.observe
        for server in cluster.servers:
            self.observe(server)

    def observe(self, node_id: NodeId) -> None:
        if node_id not in self.cluster.servers:
            return
        broken = self.shown(node_id)
        if self.twin is not None:
            try:
                self.twin.observe(node_id)
            except Violation as violation:
                if broken is None:
                    raise Blind(f"only the naive twin saw it: {violation}") from violation
        if broken is not None:
            raise broken

    def shown(self, node_id: NodeId) -> Violation | None:
        """What breaks when the invariants see this server."""
        self.batches += 1
        try:
            self.monitors.watcher(node_id).observe(self.cluster.runtime(node_id), 0, self.batches)
        except Halt as halt:
            assert isinstance(halt.__cause__, Violation)
            return halt.__cause__
        return None
