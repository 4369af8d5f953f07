"""What the Synod promises at every moment, in each instance.

| property | of whom, since when | source |
| --- | --- | --- |
| round order | a proposer's round never falls, restarts included: no ballot is used twice | section 2.5 |
| promise order | an acceptor's promise never falls, restarts included | Paxos Made Simple, section 2.5 |
| vote order | nor does the ballot of what it has accepted, which is never above its promise | the same |
| promise kept | what it newly accepts is not below what it had promised | P1a |
| promise given | a promise that a proposer counts is one that its acceptor still keeps | section 2.5 |
| one value a ballot | all that is accepted in a ballot is one value | section 2.2 |
| agreement | what an instance decided is the same everywhere, for ever | section 2.1 |
| chosen for ever | after a decision nothing else is accepted in a higher ballot | P2b |
| chosen by a quorum | a value is decided only if a quorum of acceptors has accepted it | section 2.2 |

That the value decided is one that a client proposed is for the checker of histories to say. A step costs what it
changed: of the vows those written since are looked at, and all after a restart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from framework import (
    CLOCKS_APART,
    NO_BALLOT,
    UNBOUND,
    Ballot,
    DurableMap,
    Invariant,
    NodeId,
    Proposal,
    Step,
    Violation,
    Vow,
)
from plugins.protocols.paxos.node import Paxos


class _Written:
    """Which instances each node has written of since it was last looked at; all that it holds, after a restart."""

    def __init__(self) -> None:
        self.seen: dict[NodeId, int] = {}

    def since(self, step: Step, records: DurableMap[str, Any]) -> list[str]:
        seen = self.seen.get(step.node, 0)
        if not step.started and records.writes == seen:
            return []
        self.seen[step.node] = records.writes
        return list(records) if step.started else list(records.latest(records.writes - seen))


class Rounds(Invariant[Paxos]):
    """Round order."""

    def __init__(self) -> None:
        self.written = _Written()
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
    """Promise order, vote order, promise kept, one value a ballot."""

    def __init__(self) -> None:
        self.written = _Written()
        self.known: dict[NodeId, dict[str, Vow]] = {}  # each acceptor's when last seen
        self.values: dict[tuple[str, Ballot], tuple[str, NodeId]] = {}  # accepted in a ballot, and where first

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
    """Promise given: an acceptor is asked for what proposers have heard of it when it is seen certainly later."""

    def __init__(self) -> None:
        self.owed: dict[NodeId, dict[str, tuple[Ballot, int]]] = {}  # by acceptor and instance; and when it was heard

    def observe(self, step: Step, node: Paxos) -> None:
        for instance, attempt in node.attempts.items():
            for acceptor in attempt.promises:
                owed = self.owed.setdefault(acceptor, {})
                if instance not in owed and attempt.ballot != NO_BALLOT:
                    owed[instance] = (attempt.ballot, step.time)
        owed = self.owed.get(step.node, {})
        for instance, (ballot, time) in list(owed.items()):
            if step.time < time + CLOCKS_APART:
                return  # so are those that follow
            del owed[instance]
            promised = node.vow(instance).promised
            if promised < ballot:
                what = f"{instance}: {ballot.node} counts on its promise of {ballot}, and it knows of {promised} only"
                raise Violation("promise given", (node.id, ballot.node), what)


@dataclass
class _Doubt:
    """A decision, made when and where, that not enough acceptors have been asked about: who voted for it, and who did not."""

    chosen: Proposal
    where: NodeId
    time: int
    voted: set[NodeId] = field(default_factory=set)
    others: set[NodeId] = field(default_factory=set)


class Decisions(Invariant[Paxos]):
    """Agreement, chosen for ever, chosen by a quorum.

    An acceptor is asked about a decision when it is seen next, and certainly later: its vote for it, if it gave one, is
    durable then, and stands or was repeated in a higher ballot.
    """

    def __init__(self) -> None:
        self.written = _Written()
        self.decided: dict[str, tuple[Proposal, NodeId]] = {}
        self.counted: dict[NodeId, int] = {}  # how many decisions of a node have been looked at
        self.doubts: dict[str, _Doubt] = {}
        self.votes: dict[
            str, dict[Ballot, tuple[str, NodeId]]
        ] = {}  # by instance and ballot: the value, and who accepted it

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
        """Whatever is accepted in a ballot after the one that decided must be what was decided."""
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
                return  # so are those that follow
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
