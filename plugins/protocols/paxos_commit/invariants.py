"""Invariants of Paxos Commit, on top of those of atomic commitment. Sections are those of Gray and Lamport.

| property | definition | source |
| --- | --- | --- |
| round order | a leader's round never decreases, restarts included: no ballot is used twice | section 4.1 |
| promise order | an acceptor's promise never decreases in any instance, restarts included | Paxos |
| vote order | the ballot that an acceptor has accepted never decreases, and never exceeds its promise | Paxos |
| promise kept | an acceptor accepts no ballot below its promise | Paxos, P1a |
| promise given | every promise that a leader counts is still kept by its acceptor | Paxos |
| one value a ballot | all acceptors that accept in a ballot of an instance accept the same value | Paxos |
| own ballot | ballot 0 is used by the instance's participant alone, for the vote that it has cast | section 4.2 |
| chosen for ever | once F+1 acceptors have accepted a value in a ballot, no other value is accepted in a higher one | Paxos, P2b |
| chosen by a quorum | a transaction is committed only if every instance has chosen prepared, with F+1 acceptors | section 4.2 |

A node is checked for what another one counts on once its state is certainly newer. The cost of a step is proportional
to its changes: only newly written vows and decisions are checked, and all vows after a restart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from framework import (
    CLOCKS_APART,
    NO_BALLOT,
    UNBOUND,
    Ballot,
    Invariant,
    NodeId,
    OperationId,
    Step,
    Violation,
    Vow,
    WrittenKeys,
)
from plugins.protocols.paxos_commit.node import PaxosCommit, instance_of


class Rounds(Invariant[PaxosCommit]):
    """Checks round order."""

    def __init__(self) -> None:
        self.known: dict[NodeId, int] = {}

    def observe(self, step: Step, node: PaxosCommit) -> None:
        before = self.known.get(step.node, 0)
        if node.round < before:
            raise Violation("round order", (step.node,), f"went back from round {before} to {node.round}")
        self.known[step.node] = node.round


@dataclass
class _Accepted:
    """The value accepted in a ballot of an instance, the first acceptor observed to accept it, and all acceptors."""

    value: str
    where: NodeId
    acceptors: set[NodeId] = field(default_factory=set)


class Vows(Invariant[PaxosCommit]):
    """Checks promise order, vote order, promise kept, one value a ballot, chosen for ever, and own ballot."""

    def __init__(self) -> None:
        self.written = WrittenKeys()
        self.known: dict[NodeId, dict[str, Vow]] = {}  # by acceptor and instance, as last seen
        self.ballots: dict[str, dict[Ballot, _Accepted]] = {}  # by instance
        self.chosen: dict[str, Ballot] = {}  # by instance: the first ballot seen to have chosen
        self.owed: dict[NodeId, dict[str, tuple[str, int]]] = {}  # by participant and instance: value of ballot 0, time

    def observe(self, step: Step, node: PaxosCommit) -> None:
        known = self.known.setdefault(step.node, {})
        written = self.written.since(step, node.vows)
        for instance in dict.fromkeys((*known, *written)) if step.started else written:
            before, vow = known.get(instance, UNBOUND), node.vows.get(instance) or UNBOUND
            if vow != before:
                known[instance] = vow
                self._check_order(step.node, instance, before, vow)
                self._check_value(step, instance, vow, node.config.quorum)
        if step.node in self.owed:
            self._check_own(step, node)

    def _check_order(self, name: NodeId, instance: str, before: Vow, vow: Vow) -> None:
        if vow.promised < before.promised:
            what = f"{instance}: promised {before.promised}, then went back to {vow.promised}"
            raise Violation("promise order", (name,), what, operation=_transaction(instance))
        if before.accepted is not None and (vow.accepted is None or vow.accepted.ballot < before.accepted.ballot):
            what = f"{instance}: lost what it had accepted in {before.accepted.ballot}"
            raise Violation("vote order", (name,), what, operation=_transaction(instance))
        if vow.accepted is None or vow.accepted == before.accepted:
            return
        if vow.accepted.ballot > vow.promised:
            what = f"{instance}: accepted {vow.accepted.ballot} above its promise"
            raise Violation("vote order", (name,), what, operation=_transaction(instance))
        if vow.accepted.ballot < before.promised:
            what = f"{instance}: accepted {vow.accepted.ballot} after it had promised {before.promised}"
            raise Violation("promise kept", (name,), what, operation=_transaction(instance))

    def _check_value(self, step: Step, instance: str, vow: Vow, quorum: int) -> None:
        if vow.accepted is None:
            return
        ballot, value = vow.accepted.ballot, vow.accepted.value
        accepted = self.ballots.setdefault(instance, {}).setdefault(ballot, _Accepted(value, step.node))
        if accepted.value != value:
            what = f"{instance}: accepted {accepted.value!r} and {value!r} in ballot {ballot}"
            nodes = dict.fromkeys((accepted.where, step.node))
            raise Violation("one value a ballot", nodes, what, operation=_transaction(instance))
        accepted.acceptors.add(step.node)
        if len(accepted.acceptors) >= quorum:
            self.chosen.setdefault(instance, ballot)
        if instance in self.chosen:
            self._check_later(instance)
        if ballot.round == 0:
            participant = instance.partition("/")[2]
            if ballot.node != participant:
                what = f"{instance}: accepted in ballot {ballot}"
                raise Violation("own ballot", (step.node, ballot.node), what, operation=_transaction(instance))
            self.owed.setdefault(participant, {}).setdefault(instance, (value, step.time))

    def _check_later(self, instance: str) -> None:
        """Checks that what is accepted in ballots above the one that has chosen is the chosen value."""
        first = self.chosen[instance]
        chosen = self.ballots[instance][first]
        for ballot, accepted in self.ballots[instance].items():
            if ballot > first and accepted.value != chosen.value:
                what = f"{instance} chose {chosen.value!r} in {first}, and {accepted.where} accepted {accepted.value!r} in {ballot}"
                nodes = dict.fromkeys((chosen.where, accepted.where))
                raise Violation("chosen for ever", nodes, what, operation=_transaction(instance))

    def _check_own(self, step: Step, node: PaxosCommit) -> None:
        owed = self.owed[step.node]
        for instance, (value, time) in list(owed.items()):
            if step.time < time + CLOCKS_APART:
                return  # as are all that follow
            del owed[instance]
            cast = node.votes.get(_transaction(instance))
            voted = None if cast is None else {"yes": "prepared"}.get(cast.vote, cast.vote)
            if value != voted:
                what = f"{instance}: {value!r} was accepted in ballot 0, and the participant's vote is {voted!r}"
                raise Violation("own ballot", (step.node,), what, operation=_transaction(instance))


class Promises(Invariant[PaxosCommit]):
    """Checks promise given. An acceptor is checked once its state is certainly newer than the promises counted."""

    def __init__(self) -> None:
        self.owed: dict[NodeId, dict[tuple[OperationId, Ballot], tuple[NodeId, int]]] = {}
        self.counted: dict[NodeId, set[tuple[OperationId, Ballot, NodeId]]] = {}

    def observe(self, step: Step, node: PaxosCommit) -> None:
        counted = set()
        for transaction, attempt in node.attempts.items():
            for acceptor in attempt.promises if attempt.ballot != NO_BALLOT else ():
                counted.add((transaction, attempt.ballot, acceptor))
                if (transaction, attempt.ballot, acceptor) not in self.counted.get(step.node, ()):
                    participant = attempt.content.participants[0]
                    self.owed.setdefault(acceptor, {})[(transaction, attempt.ballot)] = (participant, step.time)
        self.counted[step.node] = counted
        owed = self.owed.get(step.node, {})
        for (transaction, ballot), (participant, time) in list(owed.items()):
            if step.time < time + CLOCKS_APART:
                return  # as are all that follow
            del owed[(transaction, ballot)]
            promised = node.vow(transaction, participant).promised
            if promised < ballot:
                what = f"transaction {transaction}: {ballot.node} counts on its promise of {ballot}, and it knows of {promised}"
                raise Violation("promise given", dict.fromkeys((node.id, ballot.node)), what, operation=transaction)


@dataclass
class _Doubt:
    """A commit that too few acceptors have confirmed so far: where and when it was seen."""

    where: NodeId
    time: int
    hold: dict[NodeId, set[NodeId]] = field(default_factory=dict)
    """By participant: the acceptors that hold prepared."""
    lack: dict[NodeId, set[NodeId]] = field(default_factory=dict)
    """By participant: the acceptors that do not."""


class Commits(Invariant[PaxosCommit]):
    """Checks chosen by a quorum.

    An acceptor is asked once its state is certainly newer than the commit. By then its vote, if it gave one, is
    durable, and either unchanged or repeated in a higher ballot.
    """

    def __init__(self) -> None:
        self.forced, self.unforced, self.votes = WrittenKeys(), WrittenKeys(), WrittenKeys()
        self.committed: set[OperationId] = set()
        self.participants: dict[OperationId, tuple[NodeId, ...]] = {}
        self.doubts: dict[OperationId, _Doubt] = {}

    def observe(self, step: Step, node: PaxosCommit) -> None:
        for transaction in self.votes.since(step, node.votes):
            self.participants[transaction] = node.votes[transaction].transaction.participants
        for written, decisions in ((self.forced, node.decisions), (self.unforced, node.unforced)):
            for transaction in written.since(step, decisions):
                if decisions[transaction] == "committed" and transaction not in self.committed:
                    self.committed.add(transaction)
                    self.doubts[transaction] = _Doubt(step.node, step.time)
        if step.node in node.acceptors:
            self._ask(step, node)

    def _ask(self, step: Step, node: PaxosCommit) -> None:
        for transaction, doubt in list(self.doubts.items()):
            if step.time < doubt.time + CLOCKS_APART:
                return  # as are all that follow
            if self._confirmed(transaction, doubt, node):
                del self.doubts[transaction]

    def _confirmed(self, transaction: OperationId, doubt: _Doubt, node: PaxosCommit) -> bool:
        """Asks an acceptor about all instances, and returns whether all have a quorum. Violation if one cannot have
        it."""
        confirmed, quorum = True, node.config.quorum
        for participant in self.participants.get(transaction, ()):
            accepted = node.vow(transaction, participant).accepted
            hold, lack = (each.setdefault(participant, set()) for each in (doubt.hold, doubt.lack))
            (hold if accepted is not None and accepted.value != "aborted" else lack).add(node.id)
            confirmed &= len(hold) >= quorum
            if len(node.acceptors) - len(lack) < quorum and len(hold) < quorum:
                what = (
                    f"{doubt.where} considers transaction {transaction} committed, but "
                    f"{', '.join(sorted(lack))} never accepted 'prepared' in {instance_of(transaction, participant)}"
                )
                nodes = dict.fromkeys((doubt.where, *sorted(lack)))
                raise Violation("chosen by a quorum", nodes, what, operation=transaction)
        return confirmed


INVARIANTS = (Rounds, Vows, Promises, Commits)


def _transaction(instance: str) -> OperationId:
    return int(instance.partition("/")[0])
