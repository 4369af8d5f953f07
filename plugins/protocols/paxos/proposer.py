"""The proposer: puts a value to ballots until one is chosen (Paxos Made Simple, section 2.2).

    idle --Propose--> Prepare sent --quorum of promises--> Accept sent --quorum of votes--> decided
                          ^      |                          |
                          +------+------ refused, or no quorum in time: a higher ballot

What a proposer says promises nothing of its own, so it leaves before the commit; all but Accept, which waits until the
round of its ballot is durable: whatever crashes, only one incarnation of a proposer ever sends Accept in a ballot
(section 2.5). The ballot itself is not kept: after a crash the client asks again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from framework import DurableMap, NodeId, OperationId, durable_map, handles, on_timer
from plugins.protocols.paxos.learner import Learner
from plugins.protocols.paxos.messages import (
    NO_BALLOT,
    Accept,
    Ballot,
    Chosen,
    Decided,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Propose,
)

DOUBLINGS = 6
"""How often a randomised backoff grows at the most."""


@dataclass
class Attempt:
    """What a proposer does about an instance: its own value, its ballot under way, and whom to answer."""

    value: str
    waiting: dict[OperationId, NodeId]
    ballot: Ballot = NO_BALLOT
    prepared: bool = False
    """Whether a quorum has promised."""
    promises: dict[NodeId, Proposal | None] = field(default_factory=dict)
    highest: Ballot = NO_BALLOT
    """The highest ballot that it was refused for."""
    refusals: int = 0


class Proposer(Learner):
    """Proposes, and learns what became of it."""

    rounds: DurableMap[str, int] = durable_map(str, int)

    def on_start(self) -> None:
        super().on_start()
        self.attempts: dict[str, Attempt] = {}

    @handles(Propose)
    def on_propose(self, sender: NodeId, propose: Propose) -> None:
        instance = propose.instance
        if instance in self.decided:
            self.send(sender, Chosen(propose.operation, self.decided[instance].value), before_commit=True)
        elif instance in self.attempts:
            self.attempts[instance].waiting[propose.operation] = sender
        else:
            self.attempts[instance] = Attempt(propose.value, {propose.operation: sender})
            self.prepare(instance)

    @on_timer
    def prepare(self, instance: str) -> None:
        """Phase 1a, in a ballot above all that this node has used or was refused for."""
        attempt = self.attempts[instance]
        self.rounds[instance] = max(self.rounds.get(instance) or 0, attempt.highest.round) + 1
        attempt.ballot = Ballot(self.rounds[instance], self.id)
        attempt.prepared, attempt.promises = False, {}
        self.note("proposed", instance=instance, ballot=str(attempt.ballot))
        self.multicast(self.acceptors, Prepare(instance, attempt.ballot), before_commit=True)
        self.set_timer(self.prepare, instance, after=self.config.phase_timeout)

    @handles(Promise)
    def on_promise(self, sender: NodeId, promise: Promise) -> None:
        instance = promise.instance
        attempt = self.attempts.get(instance)
        if attempt is None or promise.ballot != attempt.ballot or attempt.prepared:
            return  # of a ballot gone by, or one promise more than it took
        attempt.promises[sender] = promise.accepted
        if self.quorums.phase1.reached(attempt.promises):
            attempt.prepared = True
            accept = Accept(instance, attempt.ballot, self.choose(instance, attempt))
            # Not before the commit: promises to an incarnation that lost this round may come with it in one batch.
            self.multicast(self.acceptors, accept)
            self.set_timer(self.prepare, instance, after=self.config.phase_timeout)

    def choose(self, instance: str, attempt: Attempt) -> str:
        """P2c: the value of the highest proposal that the quorum has accepted; its own if there is none."""
        accepted = [proposal for proposal in attempt.promises.values() if proposal is not None]
        if not accepted:
            return attempt.value
        self.note("adopted", instance=instance, ballot=str(attempt.ballot))
        return max(accepted, key=lambda proposal: proposal.ballot).value

    @handles(Nack)
    def on_nack(self, sender: NodeId, nack: Nack) -> None:
        attempt = self.attempts.get(nack.instance)
        if attempt is None or nack.ballot != attempt.ballot:
            return  # of a ballot gone by
        attempt.highest = max(attempt.highest, nack.promised)
        self.note("refused", instance=nack.instance, ballot=str(nack.ballot), promised=str(nack.promised))
        attempt.ballot = NO_BALLOT  # given up
        self.set_timer(self.prepare, nack.instance, after=self.backoff(attempt.refusals))
        attempt.refusals += 1

    def backoff(self, refusals: int) -> int:
        """How long to leave the field to the other proposer (section 2.4: else the two may go on for ever)."""
        if self.config.backoff == "none":
            return 0
        delay = int(self.config.backoff_delay)
        return delay if self.config.backoff == "fixed" else self.rng.randint(1, delay << min(refusals, DOUBLINGS))

    def on_learned(self, instance: str, chosen: Proposal) -> None:
        attempt = self.attempts.pop(instance, None)
        if attempt is not None:
            self.cancel_timer(self.prepare, instance)
            for operation, client in attempt.waiting.items():
                self.send(client, Chosen(operation, chosen.value), before_commit=True)
        if self.config.learning == "proposer" and chosen.ballot.proposer == self.id:
            others = tuple(learner for learner in self.learners if learner != self.id)
            self.multicast(others, Decided(instance, chosen.ballot, chosen.value), before_commit=True)
