"""Two-phase commit with one mistake at a time. "R*" is Mohan, Lindsay and Obermarck (1986), "BHG" is Bernstein,
Hadzilacos and Goodman (1987)."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import (
    CastVote,
    CommitDecision,
    CommitReply,
    CommitRequest,
    DurableMap,
    Message,
    NodeId,
    OperationId,
    ProtocolSpec,
    Transaction,
    durable_map,
    handles,
    hookimpl,
    on_timer,
)
from plugins.protocols import two_phase_commit
from plugins.protocols.two_phase_commit.messages import (
    Acknowledged,
    Decide,
    DecisionReply,
    DecisionRequest,
    Inquire,
    Prepare,
    Voted,
)
from plugins.protocols.two_phase_commit.node import Prepared, TwoPhaseCommit, Voting

# The coordinator: votes and decision.


class CommitsWithoutAllVotes(TwoPhaseCommit):
    """Commits when one vote is still missing (R*, section 2)."""

    @handles(Voted)
    def on_voted(self, sender: NodeId, voted: Voted) -> None:
        super().on_voted(sender, voted)
        voting = self.voting.get(voted.transaction)
        if voting is not None and len(voting.votes) == len(voting.transaction.participants) - 1:
            self.conclude(voted.transaction, "committed")


class CommitsAfterItsTimeOut(TwoPhaseCommit):
    """Takes a vote that is missing too long for a yes (R*, section 2)."""

    @on_timer
    def give_up(self, transaction: OperationId) -> None:
        self.conclude(transaction, "committed")


class DecidesEarly(TwoPhaseCommit):
    """Sends the decision before it is durable (R*, section 2)."""

    def multicast(self, to: Sequence[NodeId], message: Message, *, before_commit: bool = False) -> None:  # type: ignore[override]
        super().multicast(to, message, before_commit=before_commit or isinstance(message, Decide))


class AnswersClientsEarly(TwoPhaseCommit):
    """Answers a client before the decision is durable (R*, section 2)."""

    def send(self, to: NodeId, message: Message, *, before_commit: bool = False) -> None:  # type: ignore[override]
        super().send(to, message, before_commit=before_commit or isinstance(message, CommitReply))


class AnswersWhileVoting(TwoPhaseCommit):
    """Presumes a decision on a transaction whose votes it still collects (R*, section 2)."""

    @handles(Inquire)
    def on_inquire(self, sender: NodeId, inquire: Inquire) -> None:
        if inquire.transaction in self.voting:
            self.send(sender, Decide(inquire.transaction, self.presumption))
        else:
            super().on_inquire(sender, inquire)


# The coordinator: what it remembers.


class ForgetsItsTable(TwoPhaseCommit):
    """A decision that is not acknowledged yet is forgotten in a restart (R*, section 2)."""

    def recover_table(self) -> None:
        for transaction in list(self.table):
            del self.table[transaction]


class ForgetsAtTheFirstAcknowledgement(TwoPhaseCommit):
    """A transaction is forgotten when the first participant has acknowledged it (R*, section 2)."""

    def strike_off(self, transaction: OperationId, participant: NodeId) -> None:
        entry = self.table.get(transaction)
        for each in () if entry is None else entry.left:
            super().strike_off(transaction, each)


class HasNoCollectingRecord(TwoPhaseCommit):
    """Presumed commit without a collecting record: participants are asked to prepare first (R*, section 3.2)."""

    def begin(self, transaction: Transaction) -> None:
        self.voting[transaction.id] = Voting(transaction)
        self.multicast(transaction.participants, Prepare(transaction.id, transaction))
        self.set_timer(self.give_up, transaction.id, after=self.config.vote_timeout)


class ForcesNoCollectingRecord(TwoPhaseCommit):
    """The collecting record of presumed commit is not forced (R*, section 3.2)."""

    def begin(self, transaction: Transaction) -> None:
        collected = self.collected
        super().begin(transaction)
        self.collected = collected


class PresumesTheOpposite(TwoPhaseCommit):
    """A transaction that is not in the table is presumed to have ended in the other way (R*, section 3)."""

    @property
    def presumption(self) -> CommitDecision:
        return "committed" if super().presumption == "aborted" else "aborted"


class PresumesCommit(PresumesTheOpposite):
    """Presumed abort, and the coordinator presumes commit (R*, section 3.1)."""


class PresumesAbort(PresumesTheOpposite):
    """Presumed commit, and the coordinator presumes abort (R*, section 3.2)."""


class PresumesCommitOfNothing(PresumesTheOpposite):
    """Presumed nothing, and the coordinator presumes commit (R*, section 2)."""


class AnswersClientsFromItsTable(TwoPhaseCommit):
    """Presumed abort answers a client's repeated request from the table, which has forgotten it (R*, section 3.1)."""

    @handles(CommitRequest)
    def on_commit_request(self, sender: NodeId, request: CommitRequest) -> None:
        transaction = request.transaction.id
        if transaction in self.decisions and transaction not in self.table:
            self.send(sender, CommitReply(transaction, self.presumption))
        else:
            super().on_commit_request(sender, request)


class BeginsAgain(TwoPhaseCommit):
    """A late duplicate of a request begins its transaction again after a restart (Synod: incarnations)."""

    @handles(CommitRequest)
    def on_commit_request(self, sender: NodeId, request: CommitRequest) -> None:
        current = CommitRequest(request.operation, request.transaction, self.incarnation)
        super().on_commit_request(sender, current)


# The participant.


class VotesLazily(TwoPhaseCommit):
    """A vote of yes is not forced (R*, section 2)."""

    votes: DurableMap[OperationId, CastVote] = durable_map(OperationId, CastVote, lazy=True)


class VotesEarly(TwoPhaseCommit):
    """A vote of yes leaves before it is durable (R*, section 2)."""

    def send(self, to: NodeId, message: Message, *, before_commit: bool = False) -> None:  # type: ignore[override]
        super().send(to, message, before_commit=before_commit or isinstance(message, Voted))


class ChangesItsVote(TwoPhaseCommit):
    """A participant that voted yes aborts if it is asked before it knows the decision (BHG, section 7.4)."""

    def may_abort(self, transaction: Transaction) -> bool:
        return True


class AcknowledgesWithoutRecord(TwoPhaseCommit):
    """Acknowledges a decision whose record is not forced (R*, section 2)."""

    @handles(Decide)
    def on_decide(self, sender: NodeId, decide: Decide) -> None:
        if self.decision_of(decide.transaction) is None:
            self.decide(decide.transaction, decide.decision, forced=False)
        super().on_decide(sender, decide)


class AcknowledgesEarly(TwoPhaseCommit):
    """Acknowledges a decision before its record is durable (R*, section 2)."""

    def send(self, to: NodeId, message: Message, *, before_commit: bool = False) -> None:  # type: ignore[override]
        super().send(to, message, before_commit=before_commit or isinstance(message, Acknowledged))


class GuessesAbort(TwoPhaseCommit):
    """A participant in doubt aborts after its time-out (BHG, section 7.4)."""

    @on_timer
    def inquire(self, transaction: OperationId) -> None:
        self.decide(transaction, "aborted", forced=True)


class BelievesTheLatest(TwoPhaseCommit):
    """A presumption that answers an old question replaces the decision (R*, section 3)."""

    @handles(Decide)
    def on_decide(self, sender: NodeId, decide: Decide) -> None:
        if decide.transaction in self.decisions:
            self.decisions[decide.transaction] = decide.decision
        super().on_decide(sender, decide)


class ForgetsItsLocks(TwoPhaseCommit):
    """A participant that restarts in doubt does not hold its locks (R*, section 2)."""

    def recover_votes(self) -> None:
        super().recover_votes()
        self.locks.clear()


class ReleasesInDoubt(TwoPhaseCommit):
    """A participant in doubt releases its lock when it asks (R*, section 2)."""

    @on_timer
    def inquire(self, transaction: OperationId) -> None:
        super().inquire(transaction)
        self.locks.pop(self.prepared[transaction].transaction.key, None)

    def finish(self, prepared: Prepared, decision: CommitDecision) -> None:
        self.locks.setdefault(prepared.transaction.key, prepared.transaction.id)
        super().finish(prepared, decision)


class AbortsWithoutRecord(TwoPhaseCommit):
    """Asked about a transaction on which it has not voted, a participant answers aborted and keeps no record (BHG,
    section 7.4)."""

    @handles(DecisionRequest)
    def on_decision_request(self, sender: NodeId, request: DecisionRequest) -> None:
        if self.decision_of(request.transaction) is None and self.may_abort(request.content):
            self.send(sender, DecisionReply(request.transaction, "aborted"))
        else:
            super().on_decision_request(sender, request)


class AbortsWhatItOnlyReads(TwoPhaseCommit):
    """A participant that may have voted read-only takes itself for one that has not voted (BHG, section 7.4)."""

    def may_abort(self, transaction: Transaction) -> bool:
        return transaction.id not in self.votes


class KeepsNoRecordOfItsNo(TwoPhaseCommit):
    """Presumed commit, and a vote of no is not on record (R*, section 2)."""

    def refuse(self, coordinator: NodeId, transaction: Transaction) -> None:
        self.send(coordinator, Voted(transaction.id, "no"))


NOTHING, COMMIT = ("protocol.presumed=nothing",), ("protocol.presumed=commit",)
EAGER = ("protocol.decision_timeout=5ms",)
"""Participants ask while others have not been asked to prepare."""

MUTANTS = (
    Mutant(CommitsWithoutAllVotes),
    Mutant(CommitsAfterItsTimeOut),
    Mutant(DecidesEarly),
    Mutant(AnswersClientsEarly),
    Mutant(AnswersWhileVoting),
    Mutant(ForgetsItsTable),
    Mutant(ForgetsAtTheFirstAcknowledgement),
    Mutant(HasNoCollectingRecord, needs=COMMIT),
    Mutant(ForcesNoCollectingRecord, needs=COMMIT),
    Mutant(PresumesCommit),
    Mutant(PresumesAbort, needs=COMMIT),
    Mutant(PresumesCommitOfNothing, needs=NOTHING),
    Mutant(AnswersClientsFromItsTable),
    Mutant(BeginsAgain),
    Mutant(VotesLazily),
    Mutant(VotesEarly),
    Mutant(ChangesItsVote),
    Mutant(AcknowledgesWithoutRecord),
    Mutant(AcknowledgesEarly),
    Mutant(GuessesAbort),
    Mutant(BelievesTheLatest),
    Mutant(ForgetsItsLocks),
    Mutant(ReleasesInDoubt),
    Mutant(AbortsWithoutRecord, needs=EAGER),
    Mutant(AbortsWhatItOnlyReads),
    Mutant(KeepsNoRecordOfItsNo, needs=COMMIT),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = two_phase_commit.register_protocols()
    return mutated(itself, MUTANTS)
