"""The messages between coordinator and participants. The names are those of Mohan, Lindsay and Obermarck (R*), section
2; the last two are the decision requests of Bernstein, Hadzilacos and Goodman, section 7.4."""

from __future__ import annotations

from framework import CommitDecision, CommitVote, Transaction, TransactionMessage


class Prepare(TransactionMessage):
    """The coordinator asks a participant for its vote."""

    content: Transaction


class Voted(TransactionMessage):
    """A participant's vote, to the coordinator."""

    vote: CommitVote


class Decide(TransactionMessage):
    """The decision, from the coordinator: COMMIT or ABORT. Also its answer to Inquire, which may be a presumption."""

    decision: CommitDecision


class Acknowledged(TransactionMessage):
    """The decision is durable at the sender, which will never ask about it: the coordinator may forget it."""


class Inquire(TransactionMessage):
    """A participant in doubt asks the coordinator for the decision."""


class DecisionRequest(TransactionMessage):
    """A participant in doubt asks another participant for the decision."""

    content: Transaction


class DecisionReply(TransactionMessage):
    """A participant's answer: what it knows to be decided."""

    decision: CommitDecision
