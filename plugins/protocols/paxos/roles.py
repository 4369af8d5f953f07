"""Who plays which role: known to all from the config."""

from __future__ import annotations

from collections.abc import Collection

from framework import Node, NodeId
from plugins.protocols.paxos.config import PaxosConfig, in_order


class Role(Node):
    """Base of the roles, which one node may play together."""

    config: PaxosConfig

    def on_start(self) -> None:
        nodes = in_order((self.id, *self.peers))
        self.proposers = self.config.proposers or nodes
        self.acceptors = self.config.acceptors or nodes
        self.learners = self.config.learners or nodes
        self.quorums = self.config.quorums.build(self.acceptors)

    def can_serve(self, running: Collection[NodeId]) -> bool:
        votes = self.quorums.phase1.reached(running) and self.quorums.phase2.reached(running)
        return votes and any(proposer in running for proposer in self.proposers)
