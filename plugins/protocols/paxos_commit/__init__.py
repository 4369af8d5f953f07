"""Paxos Commit and Faster Paxos Commit (Gray and Lamport, Consensus on Transaction Commit, 2006)."""

from __future__ import annotations

from framework import COMMIT_INVARIANTS, COORDINATOR, PARTICIPANT, ProtocolSpec, Sometimes, asking_time, hookimpl
from plugins.protocols.paxos_commit.client import PaxosCommitClient
from plugins.protocols.paxos_commit.config import ACCEPTOR, PaxosCommitConfig
from plugins.protocols.paxos_commit.invariants import INVARIANTS
from plugins.protocols.paxos_commit.node import PaxosCommit, undecided


def dedicated_coordinators(config: PaxosCommitConfig) -> int:
    """Returns the number of nodes that do nothing but coordinate."""
    return config.coordinators


def dedicated_acceptors(config: PaxosCommitConfig) -> int:
    """Returns the number of nodes that only accept."""
    return config.dedicated_acceptors


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="paxos_commit",
            summary="Atomic commitment that F acceptor faults do not block (Gray and Lamport, 2006).",
            roles={
                COORDINATOR: (PaxosCommit, dedicated_coordinators),
                ACCEPTOR: (PaxosCommit, dedicated_acceptors),
                PARTICIPANT: (PaxosCommit, None),
            },
            client=PaxosCommitClient,
            config=PaxosCommitConfig,
            operations=("commit",),
            checkers=("commits",),
            recovers=True,
            recovery_time=asking_time,
            settled=undecided,
            sometimes=(
                Sometimes("a leader began a ballot of its own", "took_over"),
                Sometimes("a leader adopted a vote", "adopted"),
                Sometimes("a leader aborted for a participant", "free"),
                Sometimes("a ballot was refused", "refused"),
                Sometimes("a vote went to all acceptors", "widened"),
                Sometimes("an acceptor sent a bundle that was not full", "partial_bundle"),
            ),
            invariants=(*COMMIT_INVARIANTS, *INVARIANTS),
        )
    ]
