"""Three-phase commit in one class (Skeen 1981; Skeen 1982; Bernstein, Hadzilacos and Goodman, section 7.5).

    coordinator:  -> Prepare --all yes--> PreCommit --all acknowledged--> committed
                        |---a no, or a vote missing too long---> aborted
    participant:  -> --yes--> uncertain --PreCommit--> precommitted --Decide--> committed
                                  |---Decide--> aborted

Between the vote of yes and a commit there is a state, precommitted, that no participant is in while another one might
still abort. So the participants that run can decide without the coordinator: to abort if all of them are uncertain, to
commit if one is precommitted. How they find out is the termination protocol (`termination`):

- `skeen`: the first participant that runs collects the states of all that answer within a time-out.
- `timeout`: nobody asks; each participant concludes from its own state.
- `quorum`: a collector needs a majority. It numbers its attempt, and each participant heeds the highest number only; it
  brings the majority to precommitted, or to preaborted, and then decides. Of the states that it finds, the one entered
  in the highest attempt binds it. This is the rule of Paxos, on the two values; *commit* can only be proposed by the
  coordinator, which has seen all votes.

The first two treat silence as a crash, and disagree if it is not one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from framework import (
    COORDINATOR,
    NO_BALLOT,
    Ballot,
    CastVote,
    CommitDecision,
    CommitReply,
    CommitRequest,
    CommitVote,
    DurableMap,
    NewIncarnation,
    Node,
    NodeId,
    OperationId,
    Record,
    Status,
    Transaction,
    coordinator_of,
    durable,
    durable_map,
    handles,
    on_timer,
)
from plugins.protocols.three_phase_commit.config import ThreePhaseCommitConfig
from plugins.protocols.three_phase_commit.messages import (
    Acknowledged,
    Decide,
    Inquire,
    Phase,
    PreAbort,
    PreCommit,
    Prepare,
    Refused,
    StateReply,
    StateRequest,
    Voted,
)

MOST_DOUBLINGS = 7
"""Maximum number of times that the wait for answers doubles."""


class Standing(Record):
    """The state of a prepared participant: its phase, the attempt that brought it there, and the highest attempt that
    it has promised to heed."""

    phase: Phase = "uncertain"
    entered: Ballot = NO_BALLOT
    promised: Ballot = NO_BALLOT


UNCERTAIN = Standing()


@dataclass(slots=True)
class Voting:
    """A coordinator's transaction: the votes that have come in, then the acknowledgements of PreCommit."""

    content: Transaction
    votes: dict[NodeId, CommitVote] = field(default_factory=dict)
    precommitting: bool = False
    acknowledged: set[NodeId] = field(default_factory=set)


@dataclass(slots=True)
class Prepared:
    """A participant's transaction between its vote of yes and the decision."""

    content: Transaction
    recovered: bool = False
    """Whether the node has restarted since its vote."""
    blocked: bool = False
    """Whether it has asked a first question."""


@dataclass(slots=True)
class Attempt:
    """A collector's attempt to end a transaction: the states found, then the acknowledgements."""

    content: Transaction
    attempt: Ballot
    states: dict[NodeId, StateReply] = field(default_factory=dict)
    target: Phase = "uncertain"
    """The phase that it moves the others to; uncertain while it collects."""
    acknowledged: set[NodeId] = field(default_factory=set)
    refused: Ballot = NO_BALLOT
    """The highest attempt named in a refusal."""
    failed: int = 0
    """The number of earlier attempts."""


class ThreePhaseCommitStatus(Status):
    """Status of a node: the transactions whose votes it collects, those that it is prepared for and that it ends for a
    missing coordinator, and those whose decision it knows."""

    incarnation: int = 0
    voting: int = 0
    prepared: int = 0
    collecting: int = 0
    decided: int = 0


class ThreePhaseCommit(Node):
    """A node that coordinates transactions, takes part in them, or both."""

    config: ThreePhaseCommitConfig

    incarnation: int = durable(0)
    """Coordinator: the number of its starts. A transaction begins in one incarnation only."""
    round: int = durable(0)
    """Collector: the round of its latest attempt."""
    votes: DurableMap[OperationId, CastVote] = durable_map(OperationId, CastVote)
    """Participant: its votes of yes."""
    standings: DurableMap[OperationId, Standing] = durable_map(OperationId, Standing)
    """Participant: its state, unless it is uncertain and has promised nothing."""
    decisions: DurableMap[OperationId, CommitDecision] = durable_map(OperationId, CommitDecision)  # type: ignore[arg-type]
    """Both: the decisions. Kept for ever, for the clients and for those that ask."""
    values: DurableMap[str, OperationId] = durable_map(str, OperationId)
    """Participant: the last committed transaction of each key."""

    def on_start(self) -> None:
        dedicated = self.roles.get(COORDINATOR, ())
        # Coordinator.
        self.voting: dict[OperationId, Voting] = {}
        # Participant.
        self.prepared: dict[OperationId, Prepared] = {}
        self.locks: dict[str, OperationId] = {}
        self.read_only: dict[OperationId, CastVote] = {}
        # Both.
        self.collections: dict[OperationId, Attempt] = {}
        self.asking: dict[OperationId, Transaction] = {}
        self.clients: dict[OperationId, NodeId] = {}
        if not dedicated or self.id in dedicated:
            self.incarnation += 1
        for transaction, cast in self.votes.items():
            if transaction not in self.decisions:
                self.prepare(cast.transaction, recovered=True)
                self.end_without_coordinator(transaction)

    # The coordinator.

    @handles(CommitRequest)
    def on_commit_request(self, sender: NodeId, request: CommitRequest) -> None:
        """Begins a transaction. If an earlier incarnation may have begun it, asks for its outcome instead."""
        content = request.transaction
        decision = self.decisions.get(content.id)
        if decision is not None:
            self.send(sender, CommitReply(content.id, decision))
            return
        if self.coordinator_of(content) == self.id and content.id not in self.voting and not self.is_ending(content.id):
            if request.incarnation != self.incarnation:
                self.send(sender, NewIncarnation(content.id, self.incarnation))
                return
            self.clients[content.id] = sender
            if request.again:
                self.find_out(content)
            else:
                self.begin(content)
        else:
            self.clients[content.id] = sender

    def begin(self, content: Transaction) -> None:
        """First phase: asks for the votes."""
        self.voting[content.id] = Voting(content)
        self.multicast(content.participants, Prepare(content.id, content))
        self.set_timer(self.go_on, content.id, after=self.config.vote_timeout)

    @handles(Voted)
    def on_voted(self, sender: NodeId, voted: Voted) -> None:
        """Second phase, once all have voted yes."""
        voting = self.voting.get(voted.transaction)
        if voting is None or voting.precommitting:
            return  # late, or repeated
        voting.votes.setdefault(sender, voted.vote)
        if voting.votes[sender] == "no":
            self.conclude(voted.transaction, "aborted")
        elif all(participant in voting.votes for participant in voting.content.participants):
            self.precommit(voted.transaction)

    def precommit(self, transaction: OperationId) -> None:
        voting = self.voting[transaction]
        voting.precommitting = True
        waiting = [node for node, vote in voting.votes.items() if vote == "yes"]
        if not waiting:  # all of them only read
            self.conclude(transaction, "committed")
            return
        self.multicast(voters(voting.content), PreCommit(transaction, NO_BALLOT))
        self.set_timer(self.go_on, transaction, after=self.config.acknowledgement_timeout)

    @handles(Acknowledged)
    def on_acknowledged(self, sender: NodeId, acknowledged: Acknowledged) -> None:
        """Third phase, once all are precommitted; likewise for a collector."""
        transaction = acknowledged.transaction
        if acknowledged.attempt == NO_BALLOT:
            voting = self.voting.get(transaction)
            if voting is not None and voting.precommitting:
                voting.acknowledged.add(sender)
                if all(node in voting.acknowledged for node in voters(voting.content)):
                    self.conclude(transaction, "committed")
            return
        collection = self.collections.get(transaction)
        if collection is not None and collection.attempt == acknowledged.attempt:
            collection.acknowledged.add(sender)
            self.check_acknowledgements(transaction)

    @on_timer
    def go_on(self, transaction: OperationId) -> None:
        """Continues without those that have not answered: without a vote to abort, without an acknowledgement to
        commit."""
        voting = self.voting[transaction]
        if not voting.precommitting:
            self.note("gave_up", transaction=transaction)
            self.conclude(transaction, "aborted")
        elif self.config.termination != "quorum" or is_quorum(voting.acknowledged, voting.content):
            self.conclude(transaction, "committed")
        else:  # too few are known to be precommitted: a coordinator cannot decide alone either
            del self.voting[transaction]
            self.find_out(voting.content)

    def conclude(self, transaction: OperationId, decision: CommitDecision) -> None:
        """Decides as the coordinator."""
        voting = self.voting[transaction]
        self.learn(transaction, decision)
        told = [node for node in voting.content.participants if voting.votes.get(node, "yes") == "yes"]
        self.multicast([node for node in told if node != self.id], Decide(transaction, decision))

    # The participant.

    @handles(Prepare)
    def on_prepare(self, sender: NodeId, prepare: Prepare) -> None:
        content = prepare.content
        decision = self.decisions.get(content.id)
        if decision == "committed" or (content.id in self.votes and decision is not None):
            self.send(sender, Decide(content.id, decision))
            return
        if content.id in self.votes:
            self.send(sender, Voted(content.id, "yes"))
            return
        intended = content.intended_vote(self.id)
        holder = self.locks.get(content.key)
        if decision == "aborted" or intended == "no" or (holder is not None and content.id not in self.read_only):
            self.send(sender, Voted(content.id, "no"))
        elif intended == "read-only":
            self.read_only[content.id] = CastVote(content, "read-only")
            self.send(sender, Voted(content.id, "read-only"))
        else:
            self.votes[content.id] = CastVote(content, "yes")
            self.prepare(content, recovered=False)
            self.await_coordinator(content)
            self.send(sender, Voted(content.id, "yes"))

    def prepare(self, content: Transaction, *, recovered: bool) -> None:
        """Locks the key until the decision."""
        self.prepared[content.id] = Prepared(content, recovered)
        if content.key:
            self.locks[content.key] = content.id

    def await_coordinator(self, content: Transaction) -> None:
        """Waits for the next message of the coordinator, or of a collector; with `skeen` the longer, the later this
        node stands in the transaction."""
        wait = int(self.config.decision_timeout)
        if self.config.termination == "skeen":
            wait += voters(content).index(self.id) * int(self.config.takeover_delay)
        self.set_timer(self.end_without_coordinator, content.id, after=wait)

    @handles(PreCommit)
    def on_precommit(self, sender: NodeId, precommit: PreCommit) -> None:
        self.enter(sender, precommit.transaction, "precommitted", precommit.attempt)

    @handles(PreAbort)
    def on_preabort(self, sender: NodeId, preabort: PreAbort) -> None:
        self.enter(sender, preabort.transaction, "preaborted", preabort.attempt)

    def enter(self, sender: NodeId, transaction: OperationId, phase: Phase, attempt: Ballot) -> None:
        """Enters a phase, and says so once that is durable; unless it has promised to heed a higher attempt."""
        if transaction in self.decisions:
            self.send(sender, Decide(transaction, self.decisions[transaction]))
            return
        prepared = self.prepared.get(transaction)
        if prepared is None:
            return  # it has not voted yes: nobody can have asked this of it
        standing = self.standing(transaction)
        if self.config.termination == "quorum" and attempt < standing.promised:
            self.send(sender, Refused(transaction, attempt, standing.promised))
            return
        if standing.phase != phase or standing.entered != attempt:
            self.standings[transaction] = Standing(phase, attempt, max(attempt, standing.promised))
        if not prepared.recovered:
            self.await_coordinator(prepared.content)
        self.send(sender, Acknowledged(transaction, attempt))

    def standing(self, transaction: OperationId) -> Standing:
        return self.standings.get(transaction) or UNCERTAIN

    @handles(Decide)
    def on_decide(self, sender: NodeId, decide: Decide) -> None:
        if decide.transaction not in self.decisions:
            self.learn(decide.transaction, decide.decision)

    # Termination: the coordinator is not heard from.

    @on_timer
    def end_without_coordinator(self, transaction: OperationId) -> None:
        """Begins the termination protocol. A participant that has been down only asks, but with `quorum`: what the
        others have decided meanwhile need not follow from the states that it finds."""
        prepared = self.prepared[transaction]
        if not prepared.blocked:
            prepared.blocked = True
            self.note("blocked", transaction=transaction)
        if self.config.termination == "quorum":
            self.collect(prepared.content)
        elif prepared.recovered:
            self.find_out(prepared.content)
        elif self.config.termination == "skeen":
            self.collect(prepared.content)
        else:
            self.note("timed_out", transaction=transaction)
            self.learn(transaction, "committed" if self.standing(transaction).phase == "precommitted" else "aborted")

    def find_out(self, content: Transaction) -> None:
        """Finds out what has been decided; with `quorum`, sees to it that something is."""
        if not voters(content):  # it has no effect anywhere, and a commit would be on record here
            self.learn(content.id, "aborted")
        elif self.config.termination == "quorum":
            self.collect(content)
        else:
            self.asking[content.id] = content
            self.ask(content.id)

    @on_timer
    def ask(self, transaction: OperationId) -> None:
        """Asks everybody, again and again."""
        content = self.asking[transaction]
        asked = dict.fromkeys((self.coordinator_of(content), *voters(content)))
        self.multicast([node for node in asked if node != self.id], Inquire(transaction, content))
        self.set_timer(self.ask, transaction, after=self.config.inquiry_interval)

    @handles(Inquire)
    def on_inquire(self, sender: NodeId, inquire: Inquire) -> None:
        """Answers if it knows the decision, or can make it: one that has not voted yes aborts."""
        decision = self.known_or_aborted(inquire.content)
        if decision is not None:
            self.send(sender, Decide(inquire.transaction, decision))

    def known_or_aborted(self, content: Transaction) -> CommitDecision | None:
        """Returns the decision. A participant that has not voted yes can, and here does, decide to abort."""
        is_voter = self.id in voters(content)
        if is_voter and content.id not in self.votes and content.id not in self.decisions:
            self.note("aborted_alone", transaction=content.id)
            self.learn(content.id, "aborted")
        return self.decisions.get(content.id)

    def collect(self, content: Transaction, failed: int = 0, above: int = 0) -> None:
        """Asks the participants for their states, in an attempt above all that this node has made or heard of."""
        transaction = content.id
        self.round = max(self.round, above, self.standing(transaction).promised.round) + 1
        collection = Attempt(content, Ballot(self.round, self.id), failed=failed)
        self.collections[transaction] = collection
        self.note("took_over", transaction=transaction, attempt=str(collection.attempt))
        self.multicast(voters(content), StateRequest(transaction, collection.attempt, content))
        self.set_timer(self.stop_waiting, transaction, after=self.patience(collection))

    @handles(StateRequest)
    def on_state_request(self, sender: NodeId, request: StateRequest) -> None:
        transaction, content = request.transaction, request.content
        decision = self.known_or_aborted(content)
        if decision is not None:
            self.send(sender, Decide(transaction, decision))
            return
        prepared, standing = self.prepared[transaction], self.standing(transaction)
        if self.config.termination == "quorum":
            if request.attempt < standing.promised:
                self.send(sender, Refused(transaction, request.attempt, standing.promised))
                return
            if request.attempt > standing.promised:
                self.standings[transaction] = Standing(standing.phase, standing.entered, request.attempt)
        if sender != self.id and not prepared.recovered:
            self.await_coordinator(content)  # somebody ends it
        self.send(
            sender, StateReply(transaction, request.attempt, standing.phase, standing.entered, prepared.recovered)
        )

    @handles(StateReply)
    def on_state_reply(self, sender: NodeId, reply: StateReply) -> None:
        collection = self.collections.get(reply.transaction)
        if collection is None or reply.attempt != collection.attempt or collection.target != "uncertain":
            return  # to an earlier attempt, or beyond the quorum
        collection.states[sender] = reply
        if self.config.termination == "quorum":
            enough = is_quorum(collection.states, collection.content)
        else:
            enough = all(node in collection.states for node in voters(collection.content))
        if enough:
            self.choose(reply.transaction)

    def choose(self, transaction: OperationId) -> None:
        """Brings the others to precommitted or preaborted, as the states say that were found."""
        collection = self.collections[transaction]
        phase = self.chosen_phase(collection)
        self.note(
            "found_precommitted" if phase == "precommitted" else "found_none_precommitted", transaction=transaction
        )
        if self.config.termination == "skeen" and phase != "precommitted":
            self.end(transaction, "aborted")
            return
        collection.target = phase
        message = PreCommit if phase == "precommitted" else PreAbort
        self.multicast(voters(collection.content), message(transaction, collection.attempt))
        self.set_timer(self.stop_waiting, transaction, after=self.patience(collection))

    def chosen_phase(self, collection: Attempt) -> Phase:
        """Returns the phase to bring the others to. With `quorum`, the phase entered in the highest attempt; with
        `skeen`, precommitted if one is (Skeen 1981, section 6). If all are uncertain, nobody can have committed."""
        states = [state for state in collection.states.values() if state.phase != "uncertain"]
        if self.config.termination == "skeen":
            found = any(state.phase == "precommitted" and not state.recovered for state in states)
            return "precommitted" if found else "preaborted"
        latest = max(states, key=lambda state: state.entered, default=None)
        return "preaborted" if latest is None else latest.phase

    def check_acknowledgements(self, transaction: OperationId) -> None:
        collection = self.collections[transaction]
        if self.config.termination == "quorum":
            enough = is_quorum(collection.acknowledged, collection.content)
        else:
            enough = all(node in collection.acknowledged for node in collection.states)
        if enough:
            self.end(transaction, "committed" if collection.target == "precommitted" else "aborted")

    def end(self, transaction: OperationId, decision: CommitDecision) -> None:
        """Decides as a collector."""
        content = self.collections[transaction].content
        self.learn(transaction, decision)
        told = dict.fromkeys((self.coordinator_of(content), *voters(content)))
        self.multicast([node for node in told if node != self.id], Decide(transaction, decision))

    def patience(self, collection: Attempt) -> int:
        """Returns the wait for answers. Each further attempt waits twice as long, so that it outlasts any delay, and a
        random time more, so that two collectors do not overtake each other for ever."""
        wait = int(self.config.collect_timeout)
        if not collection.failed:
            return wait
        return (wait << min(collection.failed, MOST_DOUBLINGS)) + self.rng.randint(0, int(self.config.takeover_delay))

    @handles(Refused)
    def on_refused(self, sender: NodeId, refused: Refused) -> None:
        """Names the attempt to surpass, if this one finds no majority. A refusal of the coordinator's PreCommit, after
        which others have taken over, changes nothing."""
        collection = self.collections.get(refused.transaction)
        if collection is not None and refused.attempt == collection.attempt:
            collection.refused = max(collection.refused, refused.promised)
            self.note("refused", transaction=refused.transaction, attempt=str(refused.attempt))

    @on_timer
    def stop_waiting(self, transaction: OperationId) -> None:
        """A collector has waited long enough: with `skeen` the others are taken for crashed, with `quorum` it tries
        anew."""
        collection = self.collections[transaction]
        if self.config.termination == "quorum":
            self.collect(collection.content, collection.failed + 1, collection.refused.round)
        elif collection.target == "uncertain":
            self.choose(transaction)
        else:
            self.end(transaction, "committed")

    # Both roles.

    def coordinator_of(self, content: Transaction) -> NodeId:
        return coordinator_of(content, self.roles.get(COORDINATOR, ()))

    def is_ending(self, transaction: OperationId) -> bool:
        """Returns whether this node is finding out what becomes of a transaction."""
        return transaction in self.collections or transaction in self.asking

    def learn(self, transaction: OperationId, decision: CommitDecision) -> None:
        """Records a decision, applies it if this node is prepared, and answers the client that waits here."""
        self.decisions[transaction] = decision
        self.note("decided", transaction=transaction, decision=decision)
        if self.voting.pop(transaction, None) is not None:
            self.cancel_timer(self.go_on, transaction)
        if self.collections.pop(transaction, None) is not None:
            self.cancel_timer(self.stop_waiting, transaction)
        if self.asking.pop(transaction, None) is not None:
            self.cancel_timer(self.ask, transaction)
        prepared = self.prepared.pop(transaction, None)
        if prepared is not None:
            self.finish(prepared, decision)
        client = self.clients.pop(transaction, None)
        if client is not None:
            self.send(client, CommitReply(transaction, decision))

    def finish(self, prepared: Prepared, decision: CommitDecision) -> None:
        """Applies a decision: writes the value, and releases the lock."""
        content = prepared.content
        self.cancel_timer(self.end_without_coordinator, content.id)
        if content.key:
            if decision == "committed":
                self.values[content.key] = content.id
            del self.locks[content.key]
        if prepared.blocked:
            self.note("unblocked", transaction=content.id)

    # Observable state.

    def can_tell(self, content: Transaction) -> bool:
        """Returns whether this node gives a decision to whoever asks it."""
        return content.id in self.decisions or (self.id in voters(content) and content.id not in self.votes)

    @property
    def status(self) -> ThreePhaseCommitStatus:
        phase = "collecting" if self.collections else "prepared" if self.prepared else "voting" if self.voting else ""
        roles = tuple(role for role, nodes in self.roles.items() if self.id in nodes)
        return ThreePhaseCommitStatus(
            (*roles, *(("collector",) if self.collections else ())), phase,
            incarnation=self.incarnation, voting=len(self.voting), prepared=len(self.prepared),
            collecting=len(self.collections), decided=len(self.decisions),
        )  # fmt: skip

    def can_serve(self, running: Collection[NodeId]) -> bool:
        """A transaction needs its coordinator and all its participants, and no node can take the place of another."""
        return all(node in running for node in (self.id, *self.peers))


def voters(content: Transaction) -> tuple[NodeId, ...]:
    """Returns the participants that do more than read: those that termination asks."""
    return tuple(dict.fromkeys(node for node, vote in content.votes if vote != "read-only"))


def is_quorum(nodes: Collection[NodeId], content: Transaction) -> bool:
    """Returns whether the nodes are a majority of those that termination asks."""
    return 2 * len(nodes) > len(voters(content))


def unfinished(nodes: Mapping[NodeId, ThreePhaseCommit]) -> str | None:
    """Returns the first transaction that a running participant is in doubt about though it need not be; None if there
    is none.

    With `quorum`, a majority of its participants suffices. Otherwise a participant that has been down may be in doubt
    for ever, unless a node that runs knows the decision, or can still vote no: the others may all have failed as well
    (Skeen 1981: total failure).
    """
    for name, node in nodes.items():
        for transaction, collection in node.collections.items():
            if is_quorum([each for each in voters(collection.content) if each in nodes], collection.content):
                return f"{name} has not ended transaction {transaction}"
        for transaction, prepared in node.prepared.items():
            running = [each for each in voters(prepared.content) if each in nodes]
            if node.config.termination == "quorum":
                ought = is_quorum(running, prepared.content)
            else:
                asked = {node.coordinator_of(prepared.content), *running} & nodes.keys()
                ought = not prepared.recovered or any(nodes[each].can_tell(prepared.content) for each in asked)
            if ought:
                return f"transaction {transaction} is in doubt at {name}"
    return None
