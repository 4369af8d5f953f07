"""The messages of three-phase commit (Skeen 1981, figure 5), and those of its termination protocols."""

from __future__ import annotations

from typing import Literal, TypeAlias

from framework import Ballot, CommitDecision, CommitVote, Transaction, TransactionMessage

Phase: TypeAlias = Literal["uncertain", "precommitted", "preaborted"]
"""The state of a prepared participant."""


class Prepare(TransactionMessage):
    """The coordinator asks for a vote."""

    content: Transaction


class Voted(TransactionMessage):
    """A participant's vote."""

    vote: CommitVote


class PreCommit(TransactionMessage):
    """All have voted yes: asks to be ready to commit. `attempt` is NO_BALLOT for the coordinator, else a
    collector's."""

    attempt: Ballot


class PreAbort(TransactionMessage):
    """A collector asks to be ready to abort (Skeen 1982)."""

    attempt: Ballot


class Acknowledged(TransactionMessage):
    """The sender is ready, as PreCommit or PreAbort of this attempt asked."""

    attempt: Ballot


class Decide(TransactionMessage):
    """The decision, from any node that knows it."""

    decision: CommitDecision


class StateRequest(TransactionMessage):
    """A collector asks for the state of a participant, and with `quorum` for a promise to heed no lower attempt."""

    attempt: Ballot
    content: Transaction


class StateReply(TransactionMessage):
    """The state of a prepared participant, and the attempt that brought it there. `recovered`: it has been down since
    its vote, and does not count with `skeen`."""

    attempt: Ballot
    phase: Phase
    entered: Ballot
    recovered: bool


class Refused(TransactionMessage):
    """Refuses an attempt: the sender has promised to heed a higher one."""

    attempt: Ballot
    promised: Ballot


class Inquire(TransactionMessage):
    """A node that must not decide by itself asks whoever may know the decision."""

    content: Transaction
