"""The messages of Paxos Commit (Gray and Lamport, section 4), named as in the appendix.

Those of the Paxos instances carry all instances of their transaction, one for each participant.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from framework import Ballot, CommitDecision, NodeId, Proposal, Transaction, TransactionMessage

Value: TypeAlias = Literal["prepared", "read-only", "aborted"]
"""The values that an instance may choose. `read-only`: prepared, by a participant that does not need the decision."""

Proposals: TypeAlias = tuple[tuple[NodeId, Proposal], ...]
"""Proposals by the participant whose instance they belong to; their values are `Value`s."""


class Prepare(TransactionMessage):
    """A leader asks a participant to vote. `client` is to be answered by the participants; "" if the leader does it."""

    content: Transaction
    client: NodeId = ""


class Phase2a(TransactionMessage):
    """Asks an acceptor to accept these proposals: a participant's own vote in ballot 0, or the values that a leader
    puts to all instances in its ballot. The answer goes to `leader`, and in Faster Paxos Commit to the participants."""

    participants: tuple[NodeId, ...]
    leader: NodeId
    proposals: Proposals


class Phase2b(TransactionMessage):
    """The proposals that an acceptor has accepted last, for each instance that it knows."""

    participants: tuple[NodeId, ...]
    accepted: Proposals


class Phase1a(TransactionMessage):
    """A leader asks for a promise to accept nothing below `ballot` in any instance of the transaction."""

    ballot: Ballot
    participants: tuple[NodeId, ...]


class Phase1b(TransactionMessage):
    """The promise, with the proposals that the acceptor has accepted last."""

    ballot: Ballot
    accepted: Proposals


class Nack(TransactionMessage):
    """Refuses a leader's ballot: the acceptor has promised a higher one."""

    ballot: Ballot
    promised: Ballot


class Decided(TransactionMessage):
    """The decision. A participant that votes no sends it as well: it has decided to abort."""

    decision: CommitDecision


class Inquire(TransactionMessage):
    """A prepared participant without a decision asks a leader, which sees to it that there is one."""

    content: Transaction
