"""The Synod with one mistake at a time. Sections are those of Paxos Made Simple."""

from __future__ import annotations

import msgspec

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import (
    NO_BALLOT,
    Message,
    NodeId,
    Proposal,
    ProtocolSpec,
    Quorums,
    QuorumSystem,
    Threshold,
    Vow,
    handles,
    hookimpl,
)
from plugins.protocols import paxos
from plugins.protocols.paxos.messages import Accept, Accepted, Prepare, Promise
from plugins.protocols.paxos.node import Attempt, Paxos

# What is durable.


class ForgetsItsPromises(Paxos):
    """Promises do not survive a restart, votes do (section 2.5)."""

    def on_start(self) -> None:
        super().on_start()
        for instance, vow in list(self.vows.items()):
            self.vows[instance] = Vow(vow.accepted.ballot if vow.accepted else NO_BALLOT, vow.accepted)


class ForgetsItsVotes(Paxos):
    """Votes do not survive a restart, promises do (section 2.5)."""

    def on_start(self) -> None:
        super().on_start()
        for instance, vow in list(self.vows.items()):
            self.vows[instance] = Vow(vow.promised, None)


class ReusesBallots(Paxos):
    """A proposer that restarts begins again with its first ballot (section 2.5)."""

    def on_start(self) -> None:
        super().on_start()
        for instance in list(self.rounds):
            del self.rounds[instance]


class SpeaksBeforeItsDisk(Paxos):
    """Messages of the kinds in `early` leave before what they promise is durable."""

    early: tuple[type[Message], ...] = ()

    def send(self, to: NodeId, message: Message, *, before_commit: bool = False) -> None:
        super().send(to, message, before_commit=before_commit or type(message) in self.early)

    def multicast(self, to: tuple[NodeId, ...], message: Message, *, before_commit: bool = False) -> None:  # type: ignore[override]
        super().multicast(to, message, before_commit=before_commit or type(message) in self.early)


class PromisesEarly(SpeaksBeforeItsDisk):
    """Promises leave before they are durable (section 2.5)."""

    early = (Promise,)


class VotesEarly(SpeaksBeforeItsDisk):
    """Votes leave before they are durable (section 2.5)."""

    early = (Accepted,)


# Proposers.


def one_less(quorums: Quorums) -> Quorums:
    return Threshold(quorums.nodes, len(quorums.smallest()) - 1)


class ProposesItsOwnValue(Paxos):
    """A proposer puts its own value to the vote, whatever has been accepted before (P2c)."""

    def choose(self, instance: str, attempt: Attempt) -> str:
        return attempt.value


class AdoptsTheLowest(Paxos):
    """Of the proposals accepted it takes the lowest instead of the highest (P2c)."""

    def choose(self, instance: str, attempt: Attempt) -> str:
        accepted = [proposal for proposal in attempt.promises.values() if proposal is not None]
        return min(accepted, key=lambda proposal: proposal.ballot).value if accepted else attempt.value


class CountsStalePromises(Paxos):
    """A promise for an earlier ballot counts for the present one (section 2.2)."""

    @handles(Promise)
    def on_promise(self, sender: NodeId, promise: Promise) -> None:
        attempt = self.attempts.get(promise.instance)
        if attempt is not None and attempt.ballot != NO_BALLOT:
            super().on_promise(sender, Promise(promise.instance, attempt.ballot, promise.accepted))


class PreparesWithOneLess(Paxos):
    """One promise less than a quorum lets a proposer go on (section 2.2)."""

    def on_start(self) -> None:
        super().on_start()
        self.quorums = QuorumSystem(one_less(self.quorums.phase1), self.quorums.phase2)


# Acceptors.


class PromisesAnything(Paxos):
    """An acceptor promises a ballot below one that it has promised (section 2.2)."""

    @handles(Prepare)
    def on_prepare(self, sender: NodeId, prepare: Prepare) -> None:
        vow = self.vow(prepare.instance)
        self.vows[prepare.instance] = Vow(prepare.ballot, vow.accepted)
        self.send(sender, Promise(prepare.instance, prepare.ballot, vow.accepted))


class AcceptsBelowItsPromise(Paxos):
    """An acceptor accepts a proposal below its promise (P1a)."""

    @handles(Accept)
    def on_accept(self, sender: NodeId, accept: Accept) -> None:
        instance, ballot, value = accept.instance, accept.ballot, accept.value
        self.vows[instance] = Vow(max(ballot, self.vow(instance).promised), Proposal(ballot, value))
        self.multicast(self.audience(ballot), Accepted(instance, ballot, value))


class HidesItsVote(Paxos):
    """A promise does not tell what the acceptor has accepted (section 2.2)."""

    def send(self, to: NodeId, message: Message, *, before_commit: bool = False) -> None:
        if type(message) is Promise:
            message = msgspec.structs.replace(message, accepted=None)
        super().send(to, message, before_commit=before_commit)


# Learners.


class LearnsFromOneLess(Paxos):
    """One vote less than a quorum counts as a decision (section 2.2)."""

    def on_start(self) -> None:
        super().on_start()
        self.quorums = QuorumSystem(self.quorums.phase1, one_less(self.quorums.phase2))


class CountsAcrossBallots(Paxos):
    """A learner counts votes of different ballots together (section 2.2)."""

    @handles(Accepted)
    def on_accepted(self, sender: NodeId, accepted: Accepted) -> None:
        for voters in self.votes.get(accepted.instance, {}).values():
            if accepted.instance not in self.decided and self.quorums.phase2.reached({*voters, sender}):
                self.learn(accepted.instance, Proposal(accepted.ballot, accepted.value))
        super().on_accepted(sender, accepted)


class MissesQuorums(Paxos):
    """Quorums of the two phases that need not meet, as an unsafe config allows (Flexible Paxos, section 3)."""


UNSAFE = "protocol.quorums={kind: flexible, phase1: 2, phase2: 1, unsafe: true}"

MUTANTS = (
    Mutant(ForgetsItsPromises),
    Mutant(ForgetsItsVotes),
    Mutant(ReusesBallots),
    Mutant(PromisesEarly),
    Mutant(VotesEarly),
    Mutant(ProposesItsOwnValue),
    Mutant(AdoptsTheLowest),
    Mutant(CountsStalePromises),
    Mutant(PreparesWithOneLess),
    Mutant(PromisesAnything),
    Mutant(AcceptsBelowItsPromise),
    Mutant(HidesItsVote),
    Mutant(LearnsFromOneLess),
    Mutant(CountsAcrossBallots),
    Mutant(MissesQuorums, needs=(UNSAFE,)),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = paxos.register_protocols()
    return mutated(itself, MUTANTS)
