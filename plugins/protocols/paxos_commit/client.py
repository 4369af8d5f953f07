"""The client: it asks the leaders, a participant, the leaders again, and so on."""

from __future__ import annotations

from framework import COORDINATOR, CommitClient, NodeId, Transaction
from plugins.protocols.paxos_commit.config import leaders_of


class PaxosCommitClient(CommitClient):
    """A client with one transaction at a time. Any leader may take it on, even one that has lost all memory of it."""

    def coordinators_of(self, transaction: Transaction) -> tuple[NodeId, ...]:
        return leaders_of(transaction, self.roles.get(COORDINATOR, ()))
