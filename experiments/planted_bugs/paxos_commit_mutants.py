"""Paxos Commit with one mistake at a time. Sections are those of Gray and Lamport, Consensus on Transaction Commit."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import (
    NO_BALLOT,
    Address,
    Ballot,
    CastVote,
    CommitDecision,
    DurableMap,
    Message,
    NodeId,
    OperationId,
    Proposal,
    ProtocolSpec,
    Vow,
    durable_map,
    handles,
    hookimpl,
    on_timer,
)
from plugins.protocols import paxos_commit
from plugins.protocols.paxos_commit.messages import Decided, Phase1a, Phase1b, Phase2a, Phase2b, Prepare
from plugins.protocols.paxos_commit.node import Attempt, Bundle, PaxosCommit, Tally, instance_of

# What is durable.


class ForgetsItsPromises(PaxosCommit):
    """An acceptor's promises do not survive a restart, what it has accepted does (section 4.1)."""

    def on_start(self) -> None:
        super().on_start()
        for instance, vow in list(self.vows.items()):
            self.vows[instance] = Vow(vow.accepted.ballot if vow.accepted else NO_BALLOT, vow.accepted)


class ForgetsWhatItAccepted(PaxosCommit):
    """What an acceptor has accepted does not survive a restart, its promises do (section 4.1)."""

    def on_start(self) -> None:
        super().on_start()
        for instance, vow in list(self.vows.items()):
            self.vows[instance] = Vow(vow.promised, None)


class ReusesBallots(PaxosCommit):
    """A leader that restarts begins again with its first ballot (section 4.1)."""

    def on_start(self) -> None:
        super().on_start()
        self.round = 0


class SpeaksBeforeItsDisk(PaxosCommit):
    """Messages of the kinds in `early` leave before what they promise is durable."""

    early: tuple[type[Message], ...] = ()

    def send(self, to: Address, message: Message, *, mount: str | None = None, before_commit: bool = False) -> None:
        super().send(to, message, mount=mount, before_commit=before_commit or type(message) in self.early)

    def multicast(  # type: ignore[override]
        self, to: tuple[Address, ...], message: Message, *, mount: str | None = None, before_commit: bool = False
    ) -> None:
        super().multicast(to, message, mount=mount, before_commit=before_commit or type(message) in self.early)


class AcceptsEarly(SpeaksBeforeItsDisk):
    """Phase 2b leaves before it is durable (section 4.1)."""

    early = (Phase2b,)


class PromisesEarly(SpeaksBeforeItsDisk):
    """Promises leave before they are durable (section 4.1)."""

    early = (Phase1b,)


class VotesLazily(PaxosCommit):
    """A participant's vote leaves before it is durable, and is another one after a restart (section 4.2)."""

    votes: DurableMap[OperationId, CastVote] = durable_map(OperationId, CastVote, lazy=True)


class RefusesLazily(PaxosCommit):
    """A vote of no is not written down: asked again, the participant may vote yes (section 4.2)."""

    @handles(Prepare)
    def on_prepare(self, sender: NodeId, prepare: Prepare) -> None:
        content = prepare.content
        is_new = self.decision_of(content.id) is None and content.id not in self.votes
        if is_new and self.locks.get(content.key, content.id) != content.id:
            self.send(sender, Decided(content.id, "aborted"))
        else:
            super().on_prepare(sender, prepare)


class ForgetsItsLocks(PaxosCommit):
    """A participant that restarts has lost the locks of what it is prepared for (README)."""

    def on_start(self) -> None:
        super().on_start()
        self.locks = {}


# Leaders.


class ProposesPreparedWhenFree(PaxosCommit):
    """A leader with a free choice proposes prepared (section 4.2)."""

    def choose(self, attempt: Attempt, participant: NodeId) -> str:
        chosen = super().choose(attempt, participant)
        reported = any(participant in dict(accepted) for accepted in attempt.promises.values())
        return chosen if reported else "prepared"


class AbortsWhateverIsReported(PaxosCommit):
    """A new leader ignores what acceptors report in phase 1, and proposes aborted (section 4.1)."""

    def choose(self, attempt: Attempt, participant: NodeId) -> str:
        return "aborted"


class AdoptsTheLowest(PaxosCommit):
    """Of the proposals reported in phase 1 it takes the lowest instead of the highest (section 4.1)."""

    def choose(self, attempt: Attempt, participant: NodeId) -> str:
        reported = [dict(accepted).get(participant) for accepted in attempt.promises.values()]
        return min((each for each in reported if each), key=lambda each: each.ballot, default=FREE).value


FREE = Proposal(NO_BALLOT, "aborted")


class CountsStalePromises(PaxosCommit):
    """A promise for an earlier ballot counts for the present one (section 4.1)."""

    @handles(Phase1b)
    def on_phase1b(self, sender: NodeId, phase: Phase1b) -> None:
        attempt = self.attempts.get(phase.transaction)
        if attempt is not None and attempt.ballot != NO_BALLOT:
            super().on_phase1b(sender, msgspec.structs.replace(phase, ballot=attempt.ballot))


class PreparesWithOneLess(PaxosCommit):
    """One promise less than F+1 lets a leader go on (section 4.1)."""

    @handles(Phase1b)
    def on_phase1b(self, sender: NodeId, phase: Phase1b) -> None:
        attempt = self.attempts.get(phase.transaction)
        if attempt is not None and phase.ballot == attempt.ballot:
            attempt.promises.setdefault("", ())
        super().on_phase1b(sender, phase)


class AbortsInItsOwnHead(PaxosCommit):
    """A leader that misses votes decides to abort without a ballot (section 4.2)."""

    @on_timer
    def take_over(self, transaction: OperationId) -> None:
        self.inform(transaction, self.attempts[transaction].content.participants, "aborted")
        self.learn(transaction, "aborted")


# Learners.


class Counts(PaxosCommit):
    """Counts with `tally` instead of a Tally."""

    tally: type[Tally] = Tally

    @handles(Phase2b)
    def on_phase2b(self, sender: NodeId, phase: Phase2b) -> None:
        if self.decision_of(phase.transaction) is None:
            self.tallies.setdefault(phase.transaction, self.tally(phase.participants))
        super().on_phase2b(sender, phase)


@dataclass(slots=True)
class OneMissing(Tally):
    """Takes one instance that has chosen nothing for prepared."""

    def decision(self, quorum: int) -> CommitDecision | None:
        chosen = [self.chosen(participant, quorum) for participant in self.participants]
        if "aborted" in chosen:
            return "aborted"
        return "committed" if chosen.count(None) <= 1 else None


class CommitsWithOneMissing(Counts):
    """A leader decides to commit with one instance missing (section 4.2)."""

    tally = OneMissing


@dataclass(slots=True)
class AcrossBallots(Tally):
    """Counts all acceptors of an instance, and takes the value of its lowest ballot."""

    def chosen(self, participant: NodeId, quorum: int) -> str | None:
        votes = self.votes.get(participant, {})
        if len(set().union(*votes.values())) < quorum:
            return None
        return min(votes, key=lambda proposal: proposal.ballot).value


class CountsAcrossBallots(Counts):
    """A leader counts votes of different ballots together (section 4.1)."""

    tally = AcrossBallots


@dataclass(slots=True)
class OneLess(Tally):
    """Needs one acceptor less."""

    def chosen(self, participant: NodeId, quorum: int) -> str | None:
        return Tally.chosen(self, participant, quorum - 1)


class LearnsFromOneLess(Counts):
    """F acceptors instead of F+1 count as a choice (section 4.1)."""

    tally = OneLess


class TakesEveryBundleForFull(PaxosCommit):
    """A bundle with fewer instances counts as all of them (section 4.2)."""

    @handles(Phase2b)
    def on_phase2b(self, sender: NodeId, phase: Phase2b) -> None:
        reported = tuple(participant for participant, _ in phase.accepted)
        super().on_phase2b(sender, msgspec.structs.replace(phase, participants=reported))


# Acceptors.


class AcceptsBelowItsPromise(PaxosCommit):
    """An acceptor accepts a proposal below its promise (section 4.1)."""

    @handles(Phase2a)
    def on_phase2a(self, sender: NodeId, phase: Phase2a) -> None:
        for participant, proposal in phase.proposals:
            promised = max(self.vow(phase.transaction, participant).promised, proposal.ballot)
            self.vows[instance_of(phase.transaction, participant)] = Vow(promised, proposal)
        accepted = self.accepted(phase.transaction, phase.participants)
        audience = self.audience(Bundle(phase.participants, phase.leader), dict(accepted))
        self.multicast(audience, Phase2b(phase.transaction, phase.participants, accepted))


class PromisesAnything(PaxosCommit):
    """An acceptor promises a ballot below one that it has promised (section 4.1)."""

    @handles(Phase1a)
    def on_phase1a(self, sender: NodeId, phase: Phase1a) -> None:
        for participant in phase.participants:
            vow = self.vow(phase.transaction, participant)
            self.vows[instance_of(phase.transaction, participant)] = Vow(phase.ballot, vow.accepted)
        accepted = self.accepted(phase.transaction, phase.participants)
        self.send(sender, Phase1b(phase.transaction, phase.ballot, accepted))


class HidesWhatItAccepted(PaxosCommit):
    """A promise does not tell what the acceptor has accepted (section 4.1)."""

    def send(self, to: Address, message: Message, *, mount: str | None = None, before_commit: bool = False) -> None:
        if type(message) is Phase1b:
            message = msgspec.structs.replace(message, accepted=())
        super().send(to, message, mount=mount, before_commit=before_commit)


class ForgetsItsBundles(PaxosCommit):
    """An acceptor sends phase 2b for a bundle that it has not accepted (section 4.2)."""

    def accept_bundle(self, transaction: OperationId) -> None:
        bundle = self.bundles.pop(transaction, None)
        if bundle is None:
            return
        self.cancel_timer(self.close_bundle, transaction)
        self.multicast((bundle.leader,), Phase2b(transaction, bundle.participants, tuple(bundle.pending.items())))


# Participants.


class VotesInALaterBallot(PaxosCommit):
    """A participant repeats its vote in a ballot above those of leaders (section 4.2)."""

    def propose(self, transaction: OperationId, leader: NodeId, acceptors: tuple[NodeId, ...]) -> None:
        super().propose(transaction, leader, acceptors)
        if transaction in self.doubts and self.doubts[transaction].widened:
            participants = self.votes[transaction].transaction.participants
            again = ((self.id, Proposal(Ballot(9, self.id), "prepared")),)
            self.multicast(acceptors, Phase2a(transaction, participants, leader, again))


class NeverAsks(PaxosCommit):
    """A participant in doubt waits for the decision, and asks nobody (section 4.2)."""

    @on_timer
    def press(self, transaction: OperationId) -> None:
        if not self.doubts[transaction].widened:
            super().press(transaction)


MUTANTS = (
    Mutant(ForgetsItsPromises),
    Mutant(ForgetsWhatItAccepted),
    Mutant(ReusesBallots),
    Mutant(AcceptsEarly),
    Mutant(PromisesEarly),
    Mutant(VotesLazily),
    Mutant(RefusesLazily),
    Mutant(ForgetsItsLocks),
    Mutant(ProposesPreparedWhenFree),
    Mutant(AbortsWhateverIsReported),
    Mutant(AdoptsTheLowest),
    Mutant(CountsStalePromises),
    Mutant(PreparesWithOneLess),
    Mutant(AbortsInItsOwnHead),
    Mutant(CommitsWithOneMissing),
    Mutant(CountsAcrossBallots),
    Mutant(LearnsFromOneLess),
    Mutant(TakesEveryBundleForFull),
    Mutant(AcceptsBelowItsPromise),
    Mutant(PromisesAnything),
    Mutant(HidesWhatItAccepted),
    Mutant(ForgetsItsBundles),
    Mutant(VotesInALaterBallot),
    Mutant(NeverAsks),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = paxos_commit.register_protocols()
    return mutated(itself, MUTANTS)
