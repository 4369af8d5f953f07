"""Invariants of the Synod, for each instance. Sections are those of Paxos Made Simple.

| property | definition | source |
| --- | --- | --- |
| round order | a proposer's round never decreases, restarts included: no ballot is used twice | section 2.5 |
| promise order | an acceptor's promise never decreases, restarts included | section 2.5 |
| vote order | the ballot that an acceptor has accepted never decreases, and never exceeds its promise | section 2.5 |
| promise kept | an acceptor accepts no ballot below its promise | P1a |
| promise given | every promise that a proposer counts is still kept by its acceptor | section 2.5 |
| one value a ballot | all acceptors that accept in a ballot accept the same value | section 2.2 |
| agreement | an instance's decision is the same everywhere and at all times | section 2.1 |
| chosen for ever | after a decision no other value is accepted in a higher ballot | P2b |
| chosen by a quorum | a value is decided only if a quorum of acceptors has accepted it | section 2.2 |

The history checker verifies that the decided value was proposed by a client. The cost of a step is proportional to its
changes: only newly written vows are checked, and all vows after a restart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from framework import (
    CLOCKS_APART,
    NO_BALLOT,
    UNBOUND,
    Ballot,
    Invariant,
    NodeId,
    Proposal,
    Step,
    Violation,
    Vow,
    WrittenKeys,
)
from plugins.protocols.paxos.node import Paxos


class Rounds(Invariant[Paxos]):
    """Checks round order."""

    def __init__(self) -> None:
        self.written = WrittenKeys()
        self.known: dict[NodeId, dict[str, int]] = {}

    def observe(self, step: Step, node: Paxos) -> None:
        known = self.known.setdefault(step.node, {})
        written = self.written.since(step, node.rounds)
        for instance in dict.fromkeys((*known, *written)) if step.started else written:
            before, now = known.get(instance, 0), node.rounds.get(instance) or 0
            if now < before:
                raise Violation("round order", (step.node,), f"{instance}: went back from round {before} to {now}")
            known[instance] = now


class Vows(Invariant[Paxos]):
    """Checks promise order, vote order, promise kept, and one value a ballot."""

    def __init__(self) -> None:
        self.written = WrittenKeys()
        self.known: dict[NodeId, dict[str, Vow]] = {}  # by acceptor and instance, as last seen
        self.values: dict[tuple[str, Ballot], tuple[str, NodeId]] = {}  # accepted in a ballot, and the first acceptor

    def observe(self, step: Step, node: Paxos) -> None:
        known = self.known.setdefault(step.node, {})
        written = self.written.since(step, node.vows)
        for instance in dict.fromkeys((*known, *written)) if step.started else written:
            before, vow = known.get(instance, UNBOUND), node.vow(instance)
            if vow != before:
                known[instance] = vow
                self._check_order(step.node, instance, before, vow)
                self._check_value(step.node, instance, vow)

    def _check_order(self, name: NodeId, instance: str, before: Vow, vow: Vow) -> None:
        if vow.promised < before.promised:
            what = f"{instance}: promised {before.promised}, then went back to {vow.promised}"
            raise Violation("promise order", (name,), what)
        if before.accepted is not None and (vow.accepted is None or vow.accepted.ballot < before.accepted.ballot):
            raise Violation("vote order", (name,), f"{instance}: lost what it had accepted in {before.accepted.ballot}")
        if vow.accepted is None or vow.accepted == before.accepted:
            return
        if vow.accepted.ballot > vow.promised:
            raise Violation("vote order", (name,), f"{instance}: accepted {vow.accepted.ballot} above its promise")
        if vow.accepted.ballot < before.promised:
            what = f"{instance}: accepted {vow.accepted.ballot} after it had promised {before.promised}"
            raise Violation("promise kept", (name,), what)

    def _check_value(self, name: NodeId, instance: str, vow: Vow) -> None:
        if vow.accepted is not None:
            ballot, value = vow.accepted.ballot, vow.accepted.value
            other, where = self.values.setdefault((instance, ballot), (value, name))
            if other != value:
                what = f"{instance}: accepted {other!r} and {value!r} in ballot {ballot}"
                raise Violation("one value a ballot", dict.fromkeys((where, name)), what)


class Promises(Invariant[Paxos]):
    """Checks promise given. An acceptor is checked once its state is certainly newer than the promises counted."""

    def __init__(self) -> None:
        self.owed: dict[NodeId, dict[str, tuple[Ballot, int]]] = {}  # by acceptor and instance: ballot, receipt time

    def observe(self, step: Step, node: Paxos) -> None:
        for instance, attempt in node.attempts.items():
            for acceptor in attempt.promises:
                owed = self.owed.setdefault(acceptor, {})
                if instance not in owed and attempt.ballot != NO_BALLOT:
                    owed[instance] = (attempt.ballot, step.time)
        owed = self.owed.get(step.node, {})
        for instance, (ballot, time) in list(owed.items()):
            if step.time < time + CLOCKS_APART:
                return  # as are all that follow
            del owed[instance]
            promised = node.vow(instance).promised
            if promised < ballot:
                what = f"{instance}: {ballot.node} counts on its promise of {ballot}, and it knows of {promised} only"
                raise Violation("promise given", (node.id, ballot.node), what)


@dataclass
class _Doubt:
    """A decision that too few acceptors have confirmed so far: where and when it was seen, and the acceptors' votes."""

    chosen: Proposal
    where: NodeId
    time: int
    voted: set[NodeId] = field(default_factory=set)
    others: set[NodeId] = field(default_factory=set)


class Decisions(Invariant[Paxos]):
    """Checks agreement, chosen for ever, and chosen by a quorum.

    Each acceptor is checked once its state is certainly newer than the decision. By then its vote, if it gave one, is
    durable, and is either unchanged or repeated in a higher ballot.
    """

    def __init__(self) -> None:
        self.written = WrittenKeys()
        self.decided: dict[str, tuple[Proposal, NodeId]] = {}
        self.counted: dict[NodeId, int] = {}  # the number of decisions checked of each node
        self.doubts: dict[str, _Doubt] = {}
        self.votes: dict[
            str, dict[Ballot, tuple[str, NodeId]]
        ] = {}  # by instance and ballot: the value, and the first acceptor

    def observe(self, step: Step, node: Paxos) -> None:
        counted = 0 if step.started else self.counted.get(step.node, 0)
        if len(node.decided) > counted:
            for instance in islice(reversed(node.decided), len(node.decided) - counted):
                self._check_agreement(step, instance, node.decided[instance])
        self.counted[step.node] = len(node.decided)
        for instance in self.written.since(step, node.vows):
            self._check_vote(step.node, instance, node.vow(instance))
        if self.doubts and step.node in node.acceptors:
            self._ask(step, node)

    def _check_agreement(self, step: Step, instance: str, chosen: Proposal) -> None:
        name = step.node
        if instance not in self.decided:
            self.decided[instance] = (chosen, name)
            self.doubts[instance] = _Doubt(chosen, name, step.time)
            for ballot, (value, voter) in self.votes.get(instance, {}).items():
                self._check_later(instance, Proposal(ballot, value), voter)
        known, where = self.decided[instance]
        if known.value != chosen.value:
            what = (
                f"{instance} decided {known.value!r} in ballot {known.ballot}, and {chosen.value!r} in {chosen.ballot}"
            )
            raise Violation("agreement", dict.fromkeys((where, name)), what)

    def _check_vote(self, name: NodeId, instance: str, vow: Vow) -> None:
        if vow.accepted is None:
            return
        self.votes.setdefault(instance, {}).setdefault(vow.accepted.ballot, (vow.accepted.value, name))
        if instance in self.decided:
            self._check_later(instance, vow.accepted, name)

    def _check_later(self, instance: str, accepted: Proposal, name: NodeId) -> None:
        """Checks that a proposal accepted in a ballot above the decision's has the decided value."""
        chosen, where = self.decided[instance]
        if accepted.ballot > chosen.ballot and accepted.value != chosen.value:
            what = (
                f"{instance} decided {chosen.value!r} in ballot {chosen.ballot}, and {name} accepted "
                f"{accepted.value!r} in {accepted.ballot}"
            )
            raise Violation("chosen for ever", dict.fromkeys((where, name)), what)

    def _ask(self, step: Step, node: Paxos) -> None:
        for instance, doubt in list(self.doubts.items()):
            if step.time < doubt.time + CLOCKS_APART:
                return  # as are all that follow
            accepted, chosen = node.vow(instance).accepted, doubt.chosen
            voted = accepted is not None and accepted.ballot >= chosen.ballot and accepted.value == chosen.value
            (doubt.voted if voted else doubt.others).add(node.id)
            if node.quorums.phase2.reached(doubt.voted):
                del self.doubts[instance]
            else:
                self._check_quorum(instance, doubt, node)

    def _check_quorum(self, instance: str, doubt: _Doubt, node: Paxos) -> None:
        possible = [name for name in node.acceptors if name not in doubt.others]
        if not node.quorums.phase2.reached(possible):
            others = sorted(doubt.others)
            what = (
                f"{doubt.where} takes {doubt.chosen.value!r} for decided in ballot {doubt.chosen.ballot} of {instance}, "
                f"and {', '.join(others)} never accepted it"
            )
            raise Violation("chosen by a quorum", dict.fromkeys((doubt.where, *others)), what)


INVARIANTS = (Rounds, Vows, Promises, Decisions)
