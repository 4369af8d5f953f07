"""Single-decree Paxos, the Synod, in one class (Lamport, *Paxos Made Simple*, section 2): proposer, acceptor, learner.

    idle --Propose--> Prepare sent --quorum of promises--> Accept sent --quorum of votes--> decided
                          ^      |                          |
                          +------+--------------------------+ a higher ballot, once no quorum can follow or none has

A node plays its roles in all instances at the same time; each key of an operation names a separate instance. The config
assigns roles to nodes.

A proposer's messages promise nothing about its own state, so they leave before the commit. Only Accept waits until the
round of its ballot is durable: despite crashes, only one incarnation of a proposer ever sends Accept in a ballot
(section 2.5). An acceptor's promises and votes must also survive a crash, so its answers leave after the commit.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from framework import (
    NO_BALLOT,
    UNBOUND,
    Ballot,
    DurableMap,
    Node,
    NodeId,
    OperationId,
    Proposal,
    Status,
    Vow,
    durable_map,
    handles,
    highest_proposal,
    on_timer,
)
from plugins.protocols.paxos.config import PaxosConfig, in_order
from plugins.protocols.paxos.messages import Accept, Accepted, Chosen, Decided, Nack, Prepare, Promise, Propose

MOST_DOUBLINGS = 6
"""Maximum number of times that a randomised backoff doubles."""


@dataclass(slots=True)
class Attempt:
    """A proposer's work on an instance: its own value, the clients to answer, and its current ballot."""

    value: str
    waiting: dict[OperationId, NodeId]
    ballot: Ballot = NO_BALLOT
    """The current ballot; NO_BALLOT while the next one waits for `backoff`."""
    prepared: bool = False
    """Whether a quorum has promised."""
    promises: dict[NodeId, Proposal | None] = field(default_factory=dict)
    """By acceptor: the proposal reported with its promise."""
    refused: set[NodeId] = field(default_factory=set)
    """The acceptors that have refused the ballot."""
    highest: Ballot = NO_BALLOT
    """The highest ballot in a refusal."""
    given_up: int = 0
    """The number of ballots abandoned because of refusals."""

    def begin(self, ballot: Ballot) -> None:
        """Begins phase 1 of `ballot`."""
        self.ballot, self.prepared, self.promises, self.refused = ballot, False, {}, set()

    def give_up(self) -> None:
        self.ballot = NO_BALLOT
        self.given_up += 1


class PaxosStatus(Status):
    """Status of a node: its highest current ballot, and how many instances it proposes in, has promised or accepted in,
    and knows the decision of."""

    ballot: Ballot | None = None
    proposing: int = 0
    bound: int = 0
    decided: int = 0


class Paxos(Node):
    """A node that acts as proposer, acceptor and learner, as configured."""

    config: PaxosConfig

    rounds: DurableMap[str, int] = durable_map(str, int)
    """Proposer: the round of its latest ballot, by instance."""
    vows: DurableMap[str, Vow] = durable_map(str, Vow)
    """Acceptor: its promise and its accepted proposal in one value, by instance."""

    def on_start(self) -> None:
        nodes = in_order((self.id, *self.peers))
        self.proposers = self.config.proposers or nodes
        self.acceptors = self.config.acceptors or nodes
        self.learners = self.config.learners or nodes
        self.quorums = self.config.quorums.build(self.acceptors)
        # Volatile, by instance. After a crash the client asks again, and a new ballot finds the chosen value.
        self.attempts: dict[str, Attempt] = {}
        self.decided: dict[str, Proposal] = {}
        self.votes: dict[str, dict[Ballot, set[NodeId]]] = {}

    # The proposer (section 2.2).

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
        """Phase 1a, in a ballot above all that this node has used or that refusals have named."""
        attempt = self.attempts[instance]
        self.rounds[instance] = max(self.rounds.get(instance) or 0, attempt.highest.round) + 1
        attempt.begin(Ballot(self.rounds[instance], self.id))
        self.note("proposed", instance=instance, ballot=str(attempt.ballot))
        self.multicast(self.acceptors, Prepare(instance, attempt.ballot), before_commit=True)
        self.set_timer(self.prepare, instance, after=self.config.phase_timeout)

    @handles(Promise)
    def on_promise(self, sender: NodeId, promise: Promise) -> None:
        """Phase 2a, once a quorum has promised."""
        instance = promise.instance
        attempt = self.attempts.get(instance)
        if attempt is None or promise.ballot != attempt.ballot or attempt.prepared:
            return  # of an earlier ballot, or beyond the quorum
        attempt.promises[sender] = promise.accepted
        if self.quorums.phase1.reached(attempt.promises):
            attempt.prepared = True
            accept = Accept(instance, attempt.ballot, self.choose(instance, attempt))
            # After the commit: this batch may contain promises to an earlier incarnation that lost this round.
            self.multicast(self.acceptors, accept)
            self.set_timer(self.prepare, instance, after=self.config.phase_timeout)

    def choose(self, instance: str, attempt: Attempt) -> str:
        """P2c: returns the value of the highest proposal that the quorum has accepted; its own value otherwise."""
        highest = highest_proposal(attempt.promises.values())
        if highest is None:
            return attempt.value
        self.note("adopted", instance=instance, ballot=str(attempt.ballot))
        return highest.value

    @handles(Nack)
    def on_nack(self, sender: NodeId, nack: Nack) -> None:
        attempt = self.attempts.get(nack.instance)
        if attempt is None or nack.ballot != attempt.ballot:
            return  # about an earlier ballot
        attempt.highest = max(attempt.highest, nack.promised)
        attempt.refused.add(sender)
        if self.can_win(attempt):
            return
        self.note("refused", instance=nack.instance, ballot=str(nack.ballot), promised=str(attempt.highest))
        self.set_timer(self.prepare, nack.instance, after=self.backoff(attempt.given_up))
        attempt.give_up()

    def can_win(self, attempt: Attempt) -> bool:
        """Returns whether the acceptors that have not refused the ballot contain the quorums that it still needs."""
        others = [acceptor for acceptor in self.acceptors if acceptor not in attempt.refused]
        return self.quorums.phase2.reached(others) and (attempt.prepared or self.quorums.phase1.reached(others))

    def backoff(self, given_up: int) -> int:
        """Returns the wait before the next ballot (section 2.4: without it two proposers may duel for ever)."""
        if self.config.backoff == "none":
            return 0
        delay = int(self.config.backoff_delay)
        return delay if self.config.backoff == "fixed" else self.rng.randint(1, delay << min(given_up, MOST_DOUBLINGS))

    # The acceptor (section 2.2).

    @handles(Prepare)
    def on_prepare(self, sender: NodeId, prepare: Prepare) -> None:
        """Phase 1b."""
        instance, ballot = prepare.instance, prepare.ballot
        vow = self.vow(instance)
        promise = vow.prepare(ballot)
        if promise is None:
            self.send(sender, Nack(instance, ballot, vow.promised))
            return
        self.vows[instance] = promise
        self.send(sender, Promise(instance, ballot, promise.accepted))

    @handles(Accept)
    def on_accept(self, sender: NodeId, accept: Accept) -> None:
        """Phase 2b."""
        instance, ballot = accept.instance, accept.ballot
        vow = self.vow(instance)
        vote = vow.accept(Proposal(ballot, accept.value))
        if vote is None:
            self.send(sender, Nack(instance, ballot, vow.promised))
            return
        self.vows[instance] = vote
        self.multicast(self.audience(ballot), Accepted(instance, ballot, accept.value))

    def vow(self, instance: str) -> Vow:
        return self.vows.get(instance) or UNBOUND

    def audience(self, ballot: Ballot) -> tuple[NodeId, ...]:
        """Returns the receivers of a vote: the ballot's proposer, and all learners unless the proposer informs them."""
        if self.config.learning == "proposer":
            return (ballot.node,)
        return self.learners if ballot.node in self.learners else (*self.learners, ballot.node)

    # The learner (section 2.3): a value is chosen once a quorum has accepted it in one ballot.

    @handles(Accepted)
    def on_accepted(self, sender: NodeId, accepted: Accepted) -> None:
        if accepted.instance in self.decided:  # beyond the quorum
            return
        voters = self.votes.setdefault(accepted.instance, {}).setdefault(accepted.ballot, set())
        voters.add(sender)
        if self.quorums.phase2.reached(voters):
            self.learn(accepted.instance, Proposal(accepted.ballot, accepted.value))

    @handles(Decided)
    def on_decided(self, sender: NodeId, decided: Decided) -> None:
        self.learn(decided.instance, Proposal(decided.ballot, decided.value))

    def learn(self, instance: str, chosen: Proposal) -> None:
        """Records a decision, answers the waiting clients, and informs the learners if that is the proposer's task."""
        known = self.decided.get(instance)
        if known is not None:
            assert known.value == chosen.value, f"{instance} decided {known.value!r}, and then {chosen.value!r}"
            return
        self.decided[instance] = chosen
        self.votes.pop(instance, None)
        self.note("decided", instance=instance, ballot=str(chosen.ballot))
        attempt = self.attempts.pop(instance, None)
        if attempt is not None:
            self.cancel_timer(self.prepare, instance)
            for operation, client in attempt.waiting.items():
                self.send(client, Chosen(operation, chosen.value), before_commit=True)
        if self.config.learning == "proposer" and chosen.ballot.node == self.id:
            others = tuple(learner for learner in self.learners if learner != self.id)
            self.multicast(others, Decided(instance, chosen.ballot, chosen.value), before_commit=True)

    # Observable state.

    @property
    def status(self) -> PaxosStatus:
        roles = {"proposer": self.proposers, "acceptor": self.acceptors, "learner": self.learners}
        under_way = [attempt.ballot for attempt in self.attempts.values()]
        return PaxosStatus(
            tuple(role for role, nodes in roles.items() if self.id in nodes),
            "proposing" if under_way else "",
            ballot=max(under_way, default=None),
            proposing=len(under_way), bound=len(self.vows), decided=len(self.decided),
        )  # fmt: skip

    def can_serve(self, running: Collection[NodeId]) -> bool:
        votes = self.quorums.phase1.reached(running) and self.quorums.phase2.reached(running)
        return votes and any(proposer in running for proposer in self.proposers)
