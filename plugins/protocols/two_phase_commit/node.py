"""Two-phase commit in one class (Gray 1978; Mohan, Lindsay and Obermarck 1986, "R*"): coordinator and participant.

    coordinator:  -> Prepare sent --all yes--> committed --acknowledged by all--> forgotten
                          |------a no, or a vote missing too long--> aborted ----^
    participant:  -> --yes--> prepared --Decide--> decided
                                 |  ^
                                 +--+ in doubt: asks, and keeps its lock

Everything that a message claims is durable before the message leaves. What differs between the presumptions is which
records are *forced*, and which decisions are acknowledged:

| presumed | coordinator forces | acknowledged, and forced by participants first |
| --- | --- | --- |
| nothing | both decisions | both decisions |
| abort | committed | committed |
| commit | the collecting record, committed | aborted |

A record that is not forced lies in a lazy map, and is lost in a crash unless another record was forced after it. Each
of them can be recovered to the same value: by asking, or because it follows from what is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from framework import (
    COORDINATOR,
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
from plugins.protocols.two_phase_commit.config import TwoPhaseCommitConfig
from plugins.protocols.two_phase_commit.messages import (
    Acknowledged,
    Decide,
    DecisionReply,
    DecisionRequest,
    Inquire,
    Prepare,
    Voted,
)


class Entry(Record):
    """A coordinator's record of a transaction: the participants that have yet to acknowledge its decision.

    Without a decision it is a collecting record (presumed commit): the participants have been asked to prepare.
    """

    transaction: Transaction
    decision: CommitDecision | None = None
    left: tuple[NodeId, ...] = ()


@dataclass(slots=True)
class Voting:
    """A coordinator's transaction in the first phase: the votes that have come in."""

    transaction: Transaction
    votes: dict[NodeId, CommitVote] = field(default_factory=dict)


@dataclass(slots=True)
class Prepared:
    """A participant's transaction between its vote of yes and the decision."""

    transaction: Transaction
    in_doubt: bool = False
    """Whether it has asked for the decision."""


class TwoPhaseCommitStatus(Status):
    """Status of a node: the transactions whose votes it collects, those of which it awaits acknowledgements, those that
    it is prepared for, and those whose decision it knows."""

    incarnation: int = 0
    voting: int = 0
    unacknowledged: int = 0
    prepared: int = 0
    decided: int = 0


class TwoPhaseCommit(Node):
    """A node that coordinates transactions, takes part in them, or both."""

    config: TwoPhaseCommitConfig

    incarnation: int = durable(0)
    """Coordinator: the number of its starts. A transaction begins in one incarnation only."""
    collected: int = durable(0)
    """Coordinator: the number of collecting records. Counting one forces it: the lazy table is written along."""
    table: DurableMap[OperationId, Entry] = durable_map(OperationId, Entry, lazy=True)
    """Coordinator: what it must not forget yet. Lazy, because the end of an entry is not forced; an entry itself is
    written in the same batch as a forced decision, or as `collected`."""
    votes: DurableMap[OperationId, CastVote] = durable_map(OperationId, CastVote)
    """Participant: its votes of yes, forced before they are sent, and kept for ever."""
    decisions: DurableMap[OperationId, CommitDecision] = durable_map(OperationId, CommitDecision)  # type: ignore[arg-type]
    """Both: the decisions on record. Kept for ever, for the clients."""
    unforced: DurableMap[OperationId, CommitDecision] = durable_map(OperationId, CommitDecision, lazy=True)  # type: ignore[arg-type]
    """Both: decisions whose record need not be forced."""
    values: DurableMap[str, OperationId] = durable_map(str, OperationId, lazy=True)
    """Participant: the last committed transaction of each key, written along with its decision."""

    def on_start(self) -> None:
        dedicated = self.roles.get(COORDINATOR, ())
        # Coordinator.
        self.voting: dict[OperationId, Voting] = {}
        # Participant.
        self.prepared: dict[OperationId, Prepared] = {}
        self.locks: dict[str, OperationId] = {}
        self.read_only: dict[OperationId, CastVote] = {}
        self.refused: set[OperationId] = set()  # with presumed abort: a no that is not on record
        # Both.
        self.clients: dict[OperationId, NodeId] = {}
        if not dedicated or self.id in dedicated:
            self.incarnation += 1
            self.recover_table()
        self.recover_votes()

    # The coordinator: first phase.

    @handles(CommitRequest)
    def on_commit_request(self, sender: NodeId, request: CommitRequest) -> None:
        """Begins a transaction, unless an earlier incarnation may have begun it; any other node waits for its outcome.

        A client is answered from the decision alone, never from a presumption.
        """
        transaction = request.transaction
        decision = self.decision_of(transaction.id)
        if decision is not None:
            self.send(sender, CommitReply(transaction.id, decision))
        elif transaction.id in self.voting or self.coordinator_of(transaction) != self.id:
            self.clients[transaction.id] = sender
            if transaction.id in self.refused:
                self.decide(transaction.id, "aborted", forced=True)
        elif request.incarnation != self.incarnation:
            self.send(sender, NewIncarnation(transaction.id, self.incarnation))
        elif request.again:
            # Each committed transaction is on record: this one is not committed, and as it never begins again, it will
            # never be. That is knowledge, not presumption, and it needs no record.
            self.clients[transaction.id] = sender
            self.decide(transaction.id, "aborted", forced=False)
        else:
            self.clients[transaction.id] = sender
            self.begin(transaction)

    def begin(self, transaction: Transaction) -> None:
        """Asks the participants for their votes."""
        self.voting[transaction.id] = Voting(transaction)
        if self.config.presumed == "commit":
            # R*, section 3.2: otherwise participants would consider a transaction committed whose coordinator has
            # lost all memory of it.
            self.table[transaction.id] = Entry(transaction)
            self.collected += 1
        self.multicast(transaction.participants, Prepare(transaction.id, transaction))
        self.set_timer(self.give_up, transaction.id, after=self.config.vote_timeout)

    @on_timer
    def give_up(self, transaction: OperationId) -> None:
        """Aborts: a vote is missing."""
        self.note("gave_up", transaction=transaction)
        self.conclude(transaction, "aborted")

    @handles(Voted)
    def on_voted(self, sender: NodeId, voted: Voted) -> None:
        transaction = voted.transaction
        voting = self.voting.get(transaction)
        if voting is None:
            self.take_late_vote(sender, voted)
            return
        voting.votes.setdefault(sender, voted.vote)  # the first one counts
        if voting.votes[sender] == "no":
            self.conclude(transaction, "aborted")
        elif all(participant in voting.votes for participant in voting.transaction.participants):
            self.conclude(transaction, "committed")

    def take_late_vote(self, sender: NodeId, voted: Voted) -> None:
        """Handles a vote after the decision: a yes is answered with the decision, other votes need none.

        A decision to commit is owed to participants whose yes has come; a no that they lost in a crash before may
        follow.
        """
        decision = self.decision_of(voted.transaction)
        if voted.vote == "yes" and decision is not None:
            self.send(sender, Decide(voted.transaction, decision))
        elif voted.vote != "yes" and decision == "aborted":
            self.strike_off(voted.transaction, sender)

    # The coordinator: second phase.

    def conclude(self, transaction: OperationId, decision: CommitDecision) -> None:
        """Decides. Sends the decision to the participants that voted yes; to those whose votes are missing, once these
        come in, or with the first repetition."""
        voting = self.voting.pop(transaction)
        self.cancel_timer(self.give_up, transaction)
        others = [node for node in dict.fromkeys(voting.transaction.participants) if node != self.id]
        self.await_acknowledgements(
            voting.transaction, decision, tuple(node for node in others if voting.votes.get(node, "yes") == "yes")
        )
        self.decide(transaction, decision, forced=decision == "committed" or self.config.presumed == "nothing")
        self.multicast([node for node in others if voting.votes.get(node) == "yes"], Decide(transaction, decision))

    def await_acknowledgements(
        self, transaction: Transaction, decision: CommitDecision, left: tuple[NodeId, ...]
    ) -> None:
        """Keeps the transaction in the table until all of `left` have acknowledged the decision, if they will."""
        if left and self.is_acknowledged(decision):
            self.table[transaction.id] = Entry(transaction, decision, left)
            self.set_timer(self.resend, transaction.id, after=self.config.resend_interval)
        elif transaction.id in self.table:
            del self.table[transaction.id]

    def is_acknowledged(self, decision: CommitDecision) -> bool:
        """Returns whether participants acknowledge this decision: unless it is what the coordinator would presume."""
        return {"nothing": True, "abort": decision == "committed", "commit": decision == "aborted"}[
            self.config.presumed
        ]

    @handles(Acknowledged)
    def on_acknowledged(self, sender: NodeId, acknowledged: Acknowledged) -> None:
        self.strike_off(acknowledged.transaction, sender)

    def strike_off(self, transaction: OperationId, participant: NodeId) -> None:
        """Notes that the participant will not ask about the decision. After the last one the transaction is
        forgotten."""
        entry = self.table.get(transaction)
        if entry is None or participant not in entry.left:
            return
        left = tuple(node for node in entry.left if node != participant)
        if left:
            self.table[transaction] = msgspec.structs.replace(entry, left=left)
        else:
            del self.table[transaction]
            self.cancel_timer(self.resend, transaction)

    @on_timer
    def resend(self, transaction: OperationId) -> None:
        """Sends the decision again to the participants that have not acknowledged it."""
        entry = self.table[transaction]
        assert entry.decision is not None
        self.multicast(entry.left, Decide(transaction, entry.decision))
        self.set_timer(self.resend, transaction, after=self.config.resend_interval)

    @handles(Inquire)
    def on_inquire(self, sender: NodeId, inquire: Inquire) -> None:
        """Answers from the table, as R* does: a transaction that is neither under way nor there is presumed."""
        transaction = inquire.transaction
        if transaction in self.voting:
            return  # the decision will come
        entry = self.table.get(transaction)
        if entry is None:
            decision = self.presumption
            self.note("presumed", transaction=transaction, decision=decision)
        else:
            assert entry.decision is not None, (
                "a collecting record without a decision is under way, or aborted at the start"
            )
            decision = entry.decision
        self.send(sender, Decide(transaction, decision))

    @property
    def presumption(self) -> CommitDecision:
        """The decision on a transaction that this coordinator does not remember.

        With presumed nothing a coordinator forces both decisions before it sends them, and forgets them once everybody
        has them. One that it does not remember is either no participant's doubt, or had not been decided before a
        crash: then it will never be committed, since a transaction begins in one incarnation only.
        """
        return "committed" if self.config.presumed == "commit" else "aborted"

    def recover_table(self) -> None:
        """After a restart: sends the recorded decisions again, and aborts the undecided transactions."""
        for transaction, entry in list(self.table.items()):
            if entry.decision is not None:
                self.resend(transaction)
                continue
            self.note("recovered", transaction=transaction)
            others = [node for node in dict.fromkeys(entry.transaction.participants) if node != self.id]
            self.await_acknowledgements(entry.transaction, "aborted", tuple(others))
            self.decide(transaction, "aborted", forced=False)
            self.multicast(others, Decide(transaction, "aborted"))

    # The participant.

    @handles(Prepare)
    def on_prepare(self, sender: NodeId, prepare: Prepare) -> None:
        transaction = prepare.content
        decision = self.decision_of(transaction.id)
        if transaction.id in self.votes:  # repeated
            if decision is None:
                self.send(sender, Voted(transaction.id, "yes"))
            return
        intended = transaction.intended_vote(self.id)
        has_refused = decision == "aborted" or transaction.id in self.refused
        is_locked = transaction.key in self.locks and transaction.id not in self.read_only
        if has_refused or intended == "no" or is_locked:
            self.refuse(sender, transaction)
        elif intended == "read-only":
            self.read_only[transaction.id] = CastVote(transaction, "read-only")
            self.send(sender, Voted(transaction.id, "read-only"))
        else:
            self.votes[transaction.id] = CastVote(transaction, "yes")
            self.prepare(transaction)
            self.set_timer(self.inquire, transaction.id, after=self.config.decision_timeout)
            self.send(sender, Voted(transaction.id, "yes"))

    def prepare(self, transaction: Transaction) -> None:
        """Locks the key until the decision."""
        self.prepared[transaction.id] = Prepared(transaction)
        if transaction.key:
            self.locks[transaction.key] = transaction.id

    def refuse(self, coordinator: NodeId, transaction: Transaction) -> None:
        """Votes no. That is a decision to abort, on record (R*, section 2), except where presumed abort makes a record
        superfluous, where the coordinator is this node, which decides in the other role, and for a transaction that
        only reads here: an earlier life may have said so, and left no record of it."""
        may_record = transaction.intended_vote(self.id) != "read-only" and coordinator != self.id
        if may_record and self.decision_of(transaction.id) is None:
            if self.config.presumed == "abort":
                self.refused.add(transaction.id)
            else:
                self.decide(transaction.id, "aborted", forced=True)
        self.send(coordinator, Voted(transaction.id, "no"))

    @handles(Decide)
    def on_decide(self, sender: NodeId, decide: Decide) -> None:
        transaction, decision = decide.transaction, decide.decision
        known = self.decision_of(transaction)
        if known is None:
            self.decide(transaction, decision, forced=self.is_acknowledged(decision))
        elif known != decision:
            return  # presumed, in answer to a question that came long after the decision
        if self.is_acknowledged(decision):
            self.send(sender, Acknowledged(transaction))

    @on_timer
    def inquire(self, transaction: OperationId) -> None:
        """Asks for the decision, again and again: a participant in doubt never guesses."""
        prepared = self.prepared[transaction]
        prepared.in_doubt = True
        self.note("blocked", transaction=transaction)
        coordinator, *others = self.asked(prepared.transaction)
        self.send(coordinator, Inquire(transaction))
        self.multicast(others, DecisionRequest(transaction, prepared.transaction))
        self.set_timer(self.inquire, transaction, after=self.config.inquiry_interval)

    def asked(self, transaction: Transaction) -> tuple[NodeId, ...]:
        """Returns the nodes that a participant in doubt asks: the coordinator, then the other participants."""
        coordinator = self.coordinator_of(transaction)
        if self.config.termination == "coordinator":
            return (coordinator,)
        return (coordinator, *(node for node in transaction.participants if node not in (self.id, coordinator)))

    @handles(DecisionRequest)
    def on_decision_request(self, sender: NodeId, request: DecisionRequest) -> None:
        """Cooperative termination (Bernstein, Hadzilacos and Goodman, section 7.4). A participant that has not voted
        decides to abort, unless it may have voted read-only before a restart."""
        transaction = request.content
        if self.decision_of(transaction.id) is None and self.may_abort(transaction):
            self.note("aborted_alone", transaction=transaction.id)
            self.decide(transaction.id, "aborted", forced=True)
        decision = self.decision_of(transaction.id)
        if decision is not None:
            self.send(sender, DecisionReply(transaction.id, decision))

    def may_abort(self, transaction: Transaction) -> bool:
        """Returns whether this participant has certainly cast no vote that could commit the transaction."""
        return transaction.id not in self.votes and transaction.intended_vote(self.id) != "read-only"

    @handles(DecisionReply)
    def on_decision_reply(self, sender: NodeId, reply: DecisionReply) -> None:
        if reply.transaction in self.prepared:
            self.decide(reply.transaction, reply.decision, forced=self.is_acknowledged(reply.decision))

    def recover_votes(self) -> None:
        """After a restart: restores the locks, and asks for the decisions."""
        for transaction, cast in self.votes.items():
            if self.decision_of(transaction) is None:
                self.prepare(cast.transaction)
                self.inquire(transaction)

    # Both roles.

    def coordinator_of(self, transaction: Transaction) -> NodeId:
        return coordinator_of(transaction, self.roles.get(COORDINATOR, ()))

    def decision_of(self, transaction: OperationId) -> CommitDecision | None:
        return self.decisions.get(transaction) or self.unforced.get(transaction)

    def decide(self, transaction: OperationId, decision: CommitDecision, *, forced: bool) -> None:
        """Records a decision, applies it if this node is prepared, and answers the client that waits here."""
        records = self.decisions if forced else self.unforced
        records[transaction] = decision
        self.note("decided", transaction=transaction, decision=decision)
        self.refused.discard(transaction)
        prepared = self.prepared.pop(transaction, None)
        if prepared is not None:
            self.finish(prepared, decision)
        client = self.clients.pop(transaction, None)
        if client is not None:
            self.send(client, CommitReply(transaction, decision))

    def finish(self, prepared: Prepared, decision: CommitDecision) -> None:
        """Applies a decision: writes the value, and releases the lock."""
        transaction = prepared.transaction
        if transaction.key:
            if decision == "committed":
                self.values[transaction.key] = transaction.id
            del self.locks[transaction.key]
        self.cancel_timer(self.inquire, transaction.id)
        if prepared.in_doubt:
            self.note("unblocked", transaction=transaction.id)

    # Observable state.

    def can_resolve(self, transaction: Transaction) -> bool:
        """Returns whether this node will give a decision to a participant in doubt that asks it."""
        is_coordinator = self.coordinator_of(transaction) == self.id
        return is_coordinator or self.decision_of(transaction.id) is not None or self.may_abort(transaction)

    @property
    def status(self) -> TwoPhaseCommitStatus:
        in_doubt = any(prepared.in_doubt for prepared in self.prepared.values())
        phase = "in doubt" if in_doubt else "prepared" if self.prepared else "voting" if self.voting else ""
        roles = tuple(role for role, nodes in self.roles.items() if self.id in nodes)
        if COORDINATOR not in roles and (self.voting or self.table):  # a participant that coordinates at present
            roles = (*roles, COORDINATOR)
        return TwoPhaseCommitStatus(
            roles,
            phase or ("deciding" if self.table else ""),
            incarnation=self.incarnation, voting=len(self.voting), unacknowledged=len(self.table),
            prepared=len(self.prepared), decided=len(self.decisions) + len(self.unforced),
        )  # fmt: skip

    def can_serve(self, running: Collection[NodeId]) -> bool:
        """A transaction needs its coordinator and all its participants, and no node can take the place of another."""
        return all(node in running for node in (self.id, *self.peers))


def unfinished(nodes: Mapping[NodeId, TwoPhaseCommit]) -> str | None:
    """Returns the first transaction that a running participant ought to have decided, or that a running coordinator
    ought to have forgotten; None if there is none.

    A participant may be in doubt for ever if the coordinator is down, and with cooperative termination if no other
    participant that runs can help.
    """
    for node in nodes.values():
        for prepared in node.prepared.values():
            transaction = prepared.transaction
            for name in node.asked(transaction):
                if name in nodes and nodes[name].can_resolve(transaction):
                    return f"transaction {transaction.id} is in doubt at {node.id}, which {name} can resolve"
        for _, entry in node.table.items():
            running = [name for name in entry.left if name in nodes]
            if running:
                what = f"transaction {entry.transaction.id}"
                return f"{node.id} awaits acknowledgements of {what} from {', '.join(running)}"
    return None
