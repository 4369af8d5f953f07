"""Transactions, votes and decisions, and the messages between a client and the nodes of a commit protocol.

A node keeps its state under these names, on which the invariants of `framework.commitment.invariants` rely. A protocol
omits the attributes that it does not need.

| attribute | content |
| --- | --- |
| `votes: DurableMap[OperationId, CastVote]` | a participant's votes: durable before a yes is sent |
| `read_only: dict[OperationId, CastVote]` | its read-only votes, if they are not among `votes`: in memory, only added to |
| `decisions: DurableMap[OperationId, CommitDecision]` | the decisions that the node knows: durable before any of them is sent |
| `unforced: DurableMap` or `dict[OperationId, CommitDecision]` | decisions that a crash may take back, and that will then come back as they were: a lazy map, or a dict in memory, only added to |
| `locks: dict[str, OperationId]` | by key: the transaction that holds it, from its vote of yes to the decision |
| `values: DurableMap[str, OperationId]` | by key: the last transaction that was committed |
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from framework.core.client import OperationId
from framework.core.message import Message, NodeId, Record

CommitVote: TypeAlias = Literal["yes", "no", "read-only"]
"""A participant's vote. `read-only`: it has changed nothing, and does not need to know the decision."""

VOTES: tuple[CommitVote, ...] = get_args(CommitVote)

CommitDecision: TypeAlias = Literal["committed", "aborted"]
"""The outcome of a transaction."""


class Transaction(Record):
    """A transaction as its client submits it. Its id is that of the client's operation.

    `key` is what it writes, and locks, at each participant; "" locks nothing. `votes` are the participants in order,
    each with the vote that it would cast by itself: a participant reads its own, and nobody reads another's, but for
    which of them only read.
    """

    id: OperationId
    key: str
    votes: tuple[tuple[NodeId, CommitVote], ...]

    @property
    def participants(self) -> tuple[NodeId, ...]:
        return tuple(node for node, _ in self.votes)

    def intended_vote(self, participant: NodeId) -> CommitVote:
        """Returns the vote that the participant would cast by itself. Raises KeyError if it takes no part."""
        return dict(self.votes)[participant]

    def __str__(self) -> str:
        key = f" {self.key}" if self.key else ""
        return f"#{self.id}{key} ({', '.join(f'{node} {vote}' for node, vote in self.votes)})"


class CastVote(Record):
    """A vote that a participant has cast: the transaction with all participants, and the vote itself."""

    transaction: Transaction
    vote: CommitVote


class TransactionMessage(Message):
    """Base of the messages about one transaction. A trace shows them as messages of the client's operation."""

    transaction: OperationId

    @property
    def operation(self) -> OperationId:
        return self.transaction


class CommitRequest(Message):
    """From a client: asks for the outcome of its transaction, which begins if it has not begun.

    `incarnation` is that of the coordinator as far as the client knows; 0 if it does not. `again`: an earlier
    incarnation may have begun the transaction.
    """

    operation: OperationId
    transaction: Transaction
    incarnation: int = 0
    again: bool = False


class CommitReply(Message):
    """The answer: the decision. Any node that knows it may give it."""

    operation: OperationId
    decision: CommitDecision


class NewIncarnation(Message):
    """Refuses a request made to another incarnation of the coordinator, which may be a late duplicate: the client asks
    again with this one's number if it still waits."""

    operation: OperationId
    incarnation: int
