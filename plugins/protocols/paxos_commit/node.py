"""Paxos Commit in one class (Gray and Lamport, *Consensus on Transaction Commit*, section 4): leader, participant (the
paper's resource manager) and acceptor.

    leader        Prepare  → participants            time-out, or a question: phase 1 of a ballot ≥ 1 in all instances
    participant   Phase2a  → F+1 acceptors           its vote, in ballot 0 of its own instance; all acceptors after a while
    acceptor      Phase2b  → leader                  once all participants have voted, with one commit; in Faster Paxos
                                                     Commit to the participants
    leader        Decided  → participants            committed: every instance has chosen prepared

There is one instance of Paxos for each participant of a transaction. It decides whether that participant is prepared.
Ballot 0 of it belongs to the participant, and needs no phase 1. A leader that finds an instance free proposes aborted
in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from framework import (
    COORDINATOR,
    NO_BALLOT,
    PARTICIPANT,
    UNBOUND,
    Ballot,
    CastVote,
    CommitDecision,
    CommitReply,
    CommitRequest,
    DurableMap,
    Node,
    NodeId,
    OperationId,
    Proposal,
    Status,
    Transaction,
    Vow,
    durable,
    durable_map,
    handles,
    highest_proposal,
    on_timer,
)
from plugins.protocols.paxos_commit.config import ACCEPTOR, PaxosCommitConfig, leaders_of
from plugins.protocols.paxos_commit.messages import (
    Decided,
    Inquire,
    Nack,
    Phase1a,
    Phase1b,
    Phase2a,
    Phase2b,
    Prepare,
    Proposals,
    Value,
)

MOST_DOUBLINGS = 6
"""Maximum number of times that the wait after a refused ballot doubles."""


@dataclass(slots=True)
class Attempt:
    """A leader's work on a transaction."""

    content: Transaction
    ballot: Ballot = NO_BALLOT
    """Its ballot in all instances; NO_BALLOT before its first one, and while the next one waits for the backoff."""
    proposed: bool = False
    """Whether it has sent the values of its ballot."""
    promises: dict[NodeId, Proposals] = field(default_factory=dict)
    """By acceptor: what it had accepted."""
    refused: set[NodeId] = field(default_factory=set)
    """The acceptors that have refused the ballot."""
    highest: Ballot = NO_BALLOT
    """The highest ballot in a refusal."""
    given_up: int = 0
    """The number of ballots that were refused."""


@dataclass(slots=True)
class Bundle:
    """Votes that an acceptor has received and not yet accepted, and the leader that waits for them."""

    participants: tuple[NodeId, ...]
    leader: NodeId
    pending: dict[NodeId, Proposal] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """A learner's count of a transaction: the acceptors of each proposal, by participant."""

    participants: tuple[NodeId, ...]
    votes: dict[NodeId, dict[Proposal, set[NodeId]]] = field(default_factory=dict)

    def add(self, acceptor: NodeId, accepted: Proposals) -> None:
        for participant, proposal in accepted:
            self.votes.setdefault(participant, {}).setdefault(proposal, set()).add(acceptor)

    def chosen(self, participant: NodeId, quorum: int) -> str | None:
        """Returns what the participant's instance has chosen, by a quorum in one ballot; None if nothing yet."""
        for proposal, acceptors in self.votes.get(participant, {}).items():
            if len(acceptors) >= quorum:
                return proposal.value
        return None

    def decision(self, quorum: int) -> CommitDecision | None:
        """Returns the decision: to commit if every instance has chosen prepared, to abort if one has chosen aborted."""
        chosen = [self.chosen(participant, quorum) for participant in self.participants]
        if "aborted" in chosen:
            return "aborted"
        return None if None in chosen else "committed"


@dataclass(slots=True)
class Doubt:
    """A prepared participant's wait for a decision."""

    leader: NodeId
    """The leader that has asked for its vote last."""
    client: NodeId = ""
    """The client to answer, if the leader leaves that to the participants."""
    widened: bool = False
    """Whether all acceptors have been sent its vote."""
    questions: int = 0


class PaxosCommitStatus(Status):
    """Status of a node: how many transactions it leads, how many of them in a ballot of its own, in how many it is
    prepared without a decision, and how many votes it holds back for their bundle."""

    leading: int = 0
    ballots: int = 0
    in_doubt: int = 0
    bundled: int = 0


class PaxosCommit(Node):
    """A node that leads, votes and accepts, as its roles allow."""

    config: PaxosCommitConfig

    round: int = durable(0)
    """Leader: the round of its latest ballot."""
    votes: DurableMap[OperationId, CastVote] = durable_map(OperationId, CastVote)
    """Participant: its votes, yes and read-only. A vote is its value of ballot 0: it never changes."""
    decisions: DurableMap[OperationId, CommitDecision] = durable_map(OperationId, CommitDecision)  # type: ignore[arg-type]
    """Participant: what it knows to be decided; a vote of no is a decision to abort."""
    values: DurableMap[str, OperationId] = durable_map(str, OperationId)
    """Participant: by key, the last transaction that was committed."""
    vows: DurableMap[str, Vow] = durable_map(str, Vow)
    """Acceptor: its promise and the proposal that it has accepted, by instance (see `instance_of`)."""

    def on_start(self) -> None:
        self.leaders = self.roles.get(COORDINATOR, ())
        self.acceptors = acceptors_of(self.config, self.roles)
        # Volatile. Participants that are left in doubt ask again.
        self.attempts: dict[OperationId, Attempt] = {}
        self.forgotten: set[OperationId] = set()  # in Faster Paxos Commit: left to the participants
        self.bundles: dict[OperationId, Bundle] = {}
        self.tallies: dict[OperationId, Tally] = {}
        self.doubts: dict[OperationId, Doubt] = {}
        self.unforced: dict[OperationId, CommitDecision] = {}  # known here without a vote: acceptors keep them
        self.clients: dict[OperationId, dict[NodeId, None]] = {}  # to be answered
        self.locks: dict[str, OperationId] = {}
        for transaction, vote in self.votes.items():
            if vote.vote == "yes" and transaction not in self.decisions:
                self.doubt(vote.transaction, leaders_of(vote.transaction, self.leaders)[0])

    # The leader (section 4.2).

    @handles(CommitRequest)
    def on_commit_request(self, sender: NodeId, request: CommitRequest) -> None:
        content = request.transaction
        decision = self.decision_of(content.id)
        if decision is not None:
            self.send(sender, CommitReply(content.id, decision))
            return
        self.clients.setdefault(content.id, {})[sender] = None
        is_under_way = content.id in self.attempts or content.id in self.doubts
        if self.id in leaders_of(content, self.leaders) and not is_under_way:
            self.begin(content, sender)

    def begin(self, content: Transaction, client: NodeId) -> None:
        """Asks for all votes. Another leader may have done so: each vote is the same whenever it is repeated.

        A transaction that was left to its participants, and whose client asks again, takes a ballot: a participant that
        votes no, or fails before it votes, leaves nobody in doubt who would ask for one.
        """
        self.attempts[content.id] = Attempt(content)
        if content.id in self.forgotten:
            self.take_over(content.id)
            return
        if self.config.faster:
            self.set_timer(self.forget, content.id, after=self.config.vote_timeout)
        else:
            self.set_timer(self.take_over, content.id, after=self.config.vote_timeout)
        prepare = Prepare(content.id, content, client if self.config.faster else "")
        self.multicast(content.participants, prepare)

    @on_timer
    def forget(self, transaction: OperationId) -> None:
        """Leaves a transaction to its participants: they learn by themselves, and ask if they do not."""
        self.forgotten.add(transaction)
        del self.attempts[transaction]
        self.clients.pop(transaction, None)

    @handles(Phase2b)
    def on_phase2b(self, sender: NodeId, phase: Phase2b) -> None:
        """Counts the votes of an acceptor. In Faster Paxos Commit, participants do so too."""
        transaction = phase.transaction
        if self.decision_of(transaction) is not None:
            return  # beyond the quorum
        tally = self.tallies.setdefault(transaction, Tally(phase.participants))
        tally.add(sender, phase.accepted)
        decision = tally.decision(self.config.quorum)
        if decision is None:
            return
        prepared = [each for each in tally.participants if tally.chosen(each, self.config.quorum) != "read-only"]
        if self.config.faster:
            if prepared[:1] == [self.id] and transaction in self.doubts:
                self.clients.setdefault(transaction, {})[self.doubts[transaction].client] = None  # it answers for all
        else:
            self.inform(transaction, prepared, decision)
        self.learn(transaction, decision)

    @handles(Decided)
    def on_decided(self, sender: NodeId, decided: Decided) -> None:
        """A leader informs a participant, or the other way round."""
        attempt = self.attempts.get(decided.transaction)
        if attempt is not None:
            others = [each for each in attempt.content.participants if each != sender]
            self.inform(decided.transaction, others, decided.decision)
        self.learn(decided.transaction, decided.decision)

    def inform(self, transaction: OperationId, participants: Iterable[NodeId], decision: CommitDecision) -> None:
        """Sends the decision to the participants other than itself."""
        others = tuple(each for each in participants if each != self.id)
        self.multicast(others, Decided(transaction, decision))

    # A leader in a ballot of its own: what happens if votes, messages or another leader are missing.

    @handles(Inquire)
    def on_inquire(self, sender: NodeId, inquire: Inquire) -> None:
        transaction = inquire.transaction
        decision = self.decision_of(transaction)
        if decision is not None:
            self.send(sender, Decided(transaction, decision))
            return
        attempt = self.attempts.setdefault(transaction, Attempt(inquire.content))
        if attempt.ballot == NO_BALLOT and attempt.given_up == 0:
            self.take_over(transaction)

    @on_timer
    def take_over(self, transaction: OperationId) -> None:
        """Phase 1a in all instances, in a ballot above all that this node has used or that refusals have named."""
        attempt = self.attempts[transaction]
        self.round = max(self.round, attempt.highest.round) + 1
        attempt.ballot, attempt.proposed = Ballot(self.round, self.id), False
        attempt.promises, attempt.refused = {}, set()
        self.cancel_timer(self.forget, transaction)
        self.note("took_over", transaction=transaction, ballot=str(attempt.ballot))
        self.multicast(self.acceptors, Phase1a(transaction, attempt.ballot, attempt.content.participants))
        self.set_timer(self.take_over, transaction, after=self.config.phase_timeout)

    @handles(Phase1b)
    def on_phase1b(self, sender: NodeId, phase: Phase1b) -> None:
        """Phase 2a in all instances, once a quorum has promised."""
        attempt = self.attempts.get(phase.transaction)
        if attempt is None or phase.ballot != attempt.ballot or attempt.proposed:
            return  # of an earlier ballot, or beyond the quorum
        attempt.promises[sender] = phase.accepted
        if len(attempt.promises) < self.config.quorum:
            return
        attempt.proposed = True
        participants = attempt.content.participants
        values = [self.choose(attempt, participant) for participant in participants]
        proposals = tuple(
            (each, Proposal(attempt.ballot, value)) for each, value in zip(participants, values, strict=True)
        )
        self.multicast(self.acceptors, Phase2a(phase.transaction, participants, self.id, proposals))

    def choose(self, attempt: Attempt, participant: NodeId) -> str:
        """Returns the value of the highest proposal that the quorum has accepted in the participant's instance; aborted
        if there is none, as no value can have been chosen then."""
        reported = [dict(accepted).get(participant) for accepted in attempt.promises.values()]
        highest = highest_proposal(reported)
        found = "free" if highest is None else "adopted"
        self.note(found, transaction=attempt.content.id, participant=participant, ballot=str(attempt.ballot))
        return "aborted" if highest is None else highest.value

    @handles(Nack)
    def on_nack(self, sender: NodeId, nack: Nack) -> None:
        attempt = self.attempts.get(nack.transaction)
        if attempt is None or nack.ballot != attempt.ballot:
            return  # about an earlier ballot
        attempt.highest = max(attempt.highest, nack.promised)
        attempt.refused.add(sender)
        if len(self.acceptors) - len(attempt.refused) >= self.config.quorum:
            return  # it can still win
        self.note("refused", transaction=nack.transaction, ballot=str(nack.ballot), promised=str(nack.promised))
        longest = int(self.config.backoff) << min(attempt.given_up, MOST_DOUBLINGS)
        attempt.ballot = NO_BALLOT
        attempt.given_up += 1
        self.set_timer(self.take_over, nack.transaction, after=self.rng.randint(1, longest))

    # The participant: the paper's resource manager (section 4.1).

    @handles(Prepare)
    def on_prepare(self, sender: NodeId, prepare: Prepare) -> None:
        """Votes: proposes prepared in ballot 0 of its own instance, once that is durable; or decides to abort."""
        content = prepare.content
        decision = self.decision_of(content.id)
        if decision is not None:
            self.send(sender, Decided(content.id, decision))
            return
        if content.id not in self.votes:
            vote = content.intended_vote(self.id)
            if self.locks.get(content.key, content.id) != content.id:
                vote = "no"  # another transaction holds the key
            if vote == "no":
                # Nothing but aborted can be chosen without its vote, which it never gives.
                self.learn(content.id, "aborted")
                self.send(sender, Decided(content.id, "aborted"))
                return
            self.votes[content.id] = CastVote(content, vote)
            if vote == "yes":
                self.doubt(content, sender)
        if content.id in self.doubts:
            doubt = self.doubts[content.id]
            doubt.leader, doubt.client = sender, prepare.client
        self.propose(content.id, sender, self.nearest(sender))

    def nearest(self, leader: NodeId) -> tuple[NodeId, ...]:
        """Returns the F+1 acceptors that are enough if none fails: the leader itself if it is one, and the first
        others."""
        others = [acceptor for acceptor in self.acceptors if acceptor != leader]
        first = (leader, *others) if leader in self.acceptors else tuple(others)
        return first[: self.config.quorum]

    def propose(self, transaction: OperationId, leader: NodeId, acceptors: tuple[NodeId, ...]) -> None:
        """Phase 2a of ballot 0, which belongs to this participant alone."""
        cast = self.votes[transaction]
        value: Value = "prepared" if cast.vote == "yes" else "read-only"
        proposal = Proposal(Ballot(0, self.id), value)
        participants = cast.transaction.participants
        self.multicast(acceptors, Phase2a(transaction, participants, leader, ((self.id, proposal),)))

    def doubt(self, content: Transaction, leader: NodeId) -> None:
        """Waits for the decision, with the transaction's key locked."""
        self.doubts[content.id] = Doubt(leader)
        if content.key:
            self.locks[content.key] = content.id
        self.set_timer(self.press, content.id, after=self.config.widen_timeout)

    @on_timer
    def press(self, transaction: OperationId) -> None:
        """Sends the vote to all acceptors; later, asks one leader after the other."""
        doubt, content = self.doubts[transaction], self.votes[transaction].transaction
        if not doubt.widened:
            doubt.widened = True
            self.note("widened", transaction=transaction)
            self.propose(transaction, doubt.leader, self.acceptors)
        else:
            if doubt.questions == 0:
                self.note("blocked", transaction=transaction)
            leaders = leaders_of(content, self.leaders)
            self.send(leaders[doubt.questions % len(leaders)], Inquire(transaction, content))
            doubt.questions += 1
        self.set_timer(self.press, transaction, after=self.config.inquiry_timeout)

    def learn(self, transaction: OperationId, decision: CommitDecision) -> None:
        """Records the decision, unlocks, and answers the clients."""
        known = self.decision_of(transaction)
        if known is not None:
            assert known == decision, f"transaction {transaction} is {known}, and then {decision}"
            return
        if self.id in self.roles.get(PARTICIPANT, ()):
            self.decisions[transaction] = decision
        else:
            self.unforced[transaction] = decision
        self.note("decided", transaction=transaction, decision=decision)
        self.tallies.pop(transaction, None)
        self.forgotten.discard(transaction)
        if self.attempts.pop(transaction, None) is not None:
            self.cancel_timer(self.take_over, transaction)
            self.cancel_timer(self.forget, transaction)
        doubt = self.doubts.pop(transaction, None)
        if doubt is not None:
            self.cancel_timer(self.press, transaction)
            key = self.votes[transaction].transaction.key
            if key:
                self.locks.pop(key, None)
                if decision == "committed":
                    self.values[key] = transaction
            if doubt.questions:
                self.note("unblocked", transaction=transaction)
        for client in filter(None, self.clients.pop(transaction, {})):
            self.send(client, CommitReply(transaction, decision))

    def decision_of(self, transaction: OperationId) -> CommitDecision | None:
        """Returns the decision, if this node knows it."""
        return self.decisions.get(transaction) or self.unforced.get(transaction)

    # The acceptor.

    @handles(Phase2a)
    def on_phase2a(self, sender: NodeId, phase: Phase2a) -> None:
        """Collects proposals until it has one for each participant, then accepts all with one commit (section 4.2)."""
        transaction = phase.transaction
        decision = self.decision_of(transaction)
        if decision is not None:
            self.send(sender, Decided(transaction, decision))
            return
        promised = self.promised(transaction, phase.participants)
        refused = [each for _, each in phase.proposals if each.ballot.round and each.ballot < promised]
        if refused:
            self.send(sender, Nack(transaction, refused[0].ballot, promised))
            return
        taken = {
            participant: proposal
            for participant, proposal in phase.proposals
            if self.vow(transaction, participant).accept(proposal) is not None
        }
        if not taken:
            return  # a vote that comes after a leader's ballot: its participant asks that leader
        bundle = self.bundles.get(transaction)
        if bundle is None:
            bundle = self.bundles[transaction] = Bundle(phase.participants, phase.leader)
            self.set_timer(self.close_bundle, transaction, after=self.config.bundle_timeout)
        bundle.leader = phase.leader
        bundle.pending |= taken
        if all(each in bundle.pending or self.vow(transaction, each).accepted for each in phase.participants):
            self.close_bundle(transaction)

    @on_timer
    def close_bundle(self, transaction: OperationId) -> None:
        """Phase 2b: accepts what the bundle holds, and sends all that is accepted."""
        bundle = self.bundles[transaction]
        self.accept_bundle(transaction)
        accepted = self.accepted(transaction, bundle.participants)
        if len(accepted) < len(bundle.participants):
            self.note("partial_bundle", transaction=transaction, votes=len(accepted))
        if accepted:
            audience = self.audience(bundle, dict(accepted))
            self.multicast(audience, Phase2b(transaction, bundle.participants, accepted))

    def accept_bundle(self, transaction: OperationId) -> None:
        """Accepts the proposals that the bundle holds, except below a promise given since they came."""
        bundle = self.bundles.pop(transaction, None)
        if bundle is None:
            return
        self.cancel_timer(self.close_bundle, transaction)
        for participant, proposal in bundle.pending.items():
            vow = self.vow(transaction, participant)
            vote = vow.accept(proposal)
            if vote is not None and vote != vow:
                self.vows[instance_of(transaction, participant)] = vote

    def audience(self, bundle: Bundle, accepted: Mapping[NodeId, Proposal]) -> tuple[NodeId, ...]:
        """Returns the receivers of phase 2b: the leader; in Faster Paxos Commit the participants that need the
        decision, and the leader if it has begun a ballot of its own, or if they are none."""
        if not self.config.faster:
            return (bundle.leader,)
        participants = tuple(
            each for each in bundle.participants if each not in accepted or accepted[each].value != "read-only"
        )
        has_ballot = any(proposal.ballot.round for proposal in accepted.values())
        needs_it = bundle.leader not in participants and (has_ballot or not participants)
        return (*participants, bundle.leader) if needs_it else participants

    @handles(Phase1a)
    def on_phase1a(self, sender: NodeId, phase: Phase1a) -> None:
        """Phase 1b in all instances, with one commit."""
        transaction, ballot = phase.transaction, phase.ballot
        decision = self.decision_of(transaction)
        if decision is not None:
            self.send(sender, Decided(transaction, decision))
            return
        promised = self.promised(transaction, phase.participants)
        if ballot < promised:
            self.send(sender, Nack(transaction, ballot, promised))
            return
        self.accept_bundle(transaction)
        for participant in phase.participants:
            promise = self.vow(transaction, participant).prepare(ballot)
            assert promise is not None, "no instance has promised more"
            self.vows[instance_of(transaction, participant)] = promise
        self.send(sender, Phase1b(transaction, ballot, self.accepted(transaction, phase.participants)))

    def vow(self, transaction: OperationId, participant: NodeId) -> Vow:
        return self.vows.get(instance_of(transaction, participant)) or UNBOUND

    def promised(self, transaction: OperationId, participants: tuple[NodeId, ...]) -> Ballot:
        """Returns the highest ballot promised in any instance of the transaction."""
        return max(self.vow(transaction, each).promised for each in participants)

    def accepted(self, transaction: OperationId, participants: tuple[NodeId, ...]) -> Proposals:
        """Returns what is accepted in the instances of the transaction."""
        vows = [(each, self.vow(transaction, each).accepted) for each in participants]
        return tuple((each, accepted) for each, accepted in vows if accepted is not None)

    # Observable state.

    @property
    def status(self) -> PaxosCommitStatus:
        ballots = sum(attempt.ballot != NO_BALLOT for attempt in self.attempts.values())
        leads = ("leading",) if self.attempts else ()
        phase = "in a ballot of its own" if ballots else "leading" if leads else "in doubt" if self.doubts else ""
        return PaxosCommitStatus(
            (*leads, *(("acceptor",) if self.id in self.acceptors else ())), phase,
            leading=len(self.attempts), ballots=ballots, in_doubt=len(self.doubts),
            bundled=sum(len(bundle.pending) for bundle in self.bundles.values()),
        )  # fmt: skip

    def can_serve(self, running: Collection[NodeId]) -> bool:
        accepting = sum(acceptor in running for acceptor in self.acceptors)
        leaders = self.leaders or self.roles.get(PARTICIPANT, ())
        return accepting >= self.config.quorum and any(leader in running for leader in leaders)


def instance_of(transaction: OperationId, participant: NodeId) -> str:
    """Returns the name of the instance that decides whether a participant is prepared."""
    return f"{transaction}/{participant}"


def acceptors_of(config: PaxosCommitConfig, roles: Mapping[str, tuple[NodeId, ...]]) -> tuple[NodeId, ...]:
    """Returns the acceptors: all that there are of 2F+1."""
    places = {"separate": ACCEPTOR, "participants": PARTICIPANT, "coordinators": COORDINATOR}
    return roles.get(places[config.acceptors], ())[: 2 * config.faults + 1]


def undecided(nodes: Mapping[NodeId, PaxosCommit]) -> str | None:
    """Returns the first transaction that a running participant is in doubt about, though enough acceptors and a leader
    of it run; None if there is none."""
    for name, node in nodes.items():
        for transaction, vote in node.votes.items():
            leaders = leaders_of(vote.transaction, node.leaders)
            if (
                vote.vote == "yes"
                and transaction not in node.decisions
                and node.can_serve(nodes)
                and set(leaders) & set(nodes)
            ):
                return f"transaction {transaction} is in doubt at {name}"
    return None
