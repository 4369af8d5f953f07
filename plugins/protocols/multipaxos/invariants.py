"""Invariants of Multi-Paxos. PMS is Paxos Made Simple, PML is Paxos Made Live.

| property | definition | source |
| --- | --- | --- |
| promise order | an acceptor's promise never decreases, restarts included | PMS, §2.2, P1a |
| one proposer | a ballot is led by one node, in one incarnation | PMS, §2.2: numbers are unique |
| one proposal | a ballot proposes one value for a slot | PMS, §2.2, P2b |
| accepted stays | only a higher ballot replaces an accepted proposal, restarts included | PMS, §2.2 |
| agreement | one value is chosen for a slot, at all times and at all nodes | PMS, §2.1 |
| chosen stays | after a value is chosen for a slot, only that value is proposed for it | PMS, §2.2, P2c |
| chosen order | a replica learns slots in order, and holds them until a checkpoint covers them | PML, §5.5 |

`Ballots` checks promises and leaders, `Slots` accepted and chosen proposals. The cost of a step is proportional to its
changes: while a log only grows at its end, its earlier entries are not checked again; a map knows its latest writes.
"""

from __future__ import annotations

from framework import NO_BALLOT, Ballot, Invariant, NodeId, Step, Violation
from plugins.protocols.multipaxos.messages import Proposal, Value
from plugins.protocols.multipaxos.node import LEADER, MultiPaxos


class Ballots(Invariant[MultiPaxos]):
    """Checks promise order, and one proposer."""

    def __init__(self) -> None:
        self.promised: dict[NodeId, Ballot] = {}
        self.lives: dict[NodeId, int] = {}
        self.leaders: dict[Ballot, tuple[NodeId, int]] = {}

    def observe(self, step: Step, node: MultiPaxos) -> None:
        name = step.node
        if step.started:
            self.lives[name] = self.lives.get(name, 0) + 1
        ballot, known = node.promised, self.promised.get(name, NO_BALLOT)
        if ballot is not known:
            if ballot < known:
                raise Violation("promise order", (name,), f"promised {known}, and then {ballot}")
            self.promised[name] = ballot
        if node.role == LEADER:
            self._check_leader(name, ballot)

    def _check_leader(self, name: NodeId, ballot: Ballot) -> None:
        led = self.leaders.setdefault(ballot, (name, self.lives[name]))
        if led != (name, self.lives[name]):
            what = f"{led[0]} and {name} lead" if led[0] != name else f"{name} leads in two of its lives"
            raise Violation("one proposer", dict.fromkeys((led[0], name)), f"{what} ballot {ballot}")


class _Replica:
    """The state of one node when it was last seen."""

    __slots__ = ("chosen", "held", "seen")

    def __init__(self) -> None:
        self.chosen = 0
        self.seen = (0, 0, 0)  # the log's cuts and its last slot, and the writes beyond it
        # By slot not known to be chosen: the ballot of the accepted proposal.
        self.held: dict[int, Ballot] = {}

    def fresh(self, node: MultiPaxos) -> list[int]:
        """Returns the slots, not known to be chosen, in which the node may have accepted since the last call."""
        seen = cuts, last, writes = self.seen
        self.see(node)
        if self.seen == seen:
            return []
        log, beyond = node.accepted, node.beyond
        start = max(self.chosen, last if log.cuts == cuts else 0, node.slots.compacted) + 1
        further = [slot for slot in beyond.latest(beyond.writes - writes) if slot > self.chosen]
        return [*range(start, log.last + 1), *further]

    def see(self, node: MultiPaxos) -> None:
        self.seen = (node.accepted.cuts, node.accepted.last, node.beyond.writes)


class Slots(Invariant[MultiPaxos]):
    """Checks one proposal, accepted stays, agreement, chosen stays, and chosen order."""

    def __init__(self) -> None:
        self.replicas: dict[NodeId, _Replica] = {}
        # By slot not known to be chosen: the value of each ballot, and its first acceptor.
        self.proposals: dict[int, dict[Ballot, tuple[Value, NodeId]]] = {}
        self.chosen: dict[int, tuple[Proposal, NodeId]] = {}  # the first sighting, and its node

    def observe(self, step: Step, node: MultiPaxos) -> None:
        known = self.replicas.get(step.node)
        if known is None:
            known = self.replicas[step.node] = _Replica()
        if step.started:
            self._check_restart(node, known)
        else:
            self._check_accepted(node, known, known.fresh(node))
        if node.chosen != known.chosen:
            self._check_chosen(node, known)

    def _check_restart(self, node: MultiPaxos, known: _Replica) -> None:
        for slot, ballot in known.held.items():
            if slot <= node.chosen:
                continue
            proposal = node.slots.proposal(slot)
            if proposal is None or proposal.ballot < ballot:
                what = f"forgot what it accepted for slot {slot} in ballot {ballot}"
                raise Violation("accepted stays", (node.id,), what)
        known.chosen = min(known.chosen, node.chosen)
        known.see(node)
        held = (*range(node.accepted.first, node.accepted.last + 1), *node.beyond)
        self._check_accepted(node, known, [slot for slot in held if slot > known.chosen])

    def _check_accepted(self, node: MultiPaxos, known: _Replica, fresh: list[int]) -> None:
        name = node.id
        for slot in fresh:
            proposal = node.slots.proposal(slot)
            assert proposal is not None
            ballot = proposal.ballot
            if ballot < known.held.get(slot, NO_BALLOT):
                what = f"accepted ballot {ballot} for slot {slot} after {known.held[slot]}"
                raise Violation("accepted stays", (name,), what)
            known.held[slot] = ballot
            chosen = self.chosen.get(slot)
            if chosen is not None:
                self._check_later(name, slot, proposal, *chosen)
                continue
            proposed = self.proposals.setdefault(slot, {})
            value, where = proposed.setdefault(ballot, (proposal.value, name))
            if value is not proposal.value and value != proposal.value:
                what = f"ballot {ballot} proposed two values for slot {slot}"
                raise Violation("one proposal", dict.fromkeys((where, name)), what)

    def _check_later(self, name: NodeId, slot: int, later: Proposal, chosen: Proposal, where: NodeId) -> None:
        if later.ballot >= chosen.ballot and later.value is not chosen.value and later.value != chosen.value:
            what = (
                f"ballot {later.ballot} proposes another value for slot {slot}, "
                f"which {where} knows to be chosen since ballot {chosen.ballot}"
            )
            raise Violation("chosen stays", dict.fromkeys((where, name)), what)

    def _check_chosen(self, node: MultiPaxos, known: _Replica) -> None:
        if node.chosen < known.chosen:
            what = f"knew the slots up to {known.chosen} to be chosen, and then up to {node.chosen}"
            raise Violation("chosen order", (node.id,), what)
        for slot in range(known.chosen + 1, node.chosen + 1):
            known.held.pop(slot, None)
            proposal = node.slots.proposal(slot)
            if proposal is not None:
                self._check_agreement(node.id, slot, proposal)
            elif slot > node.slots.compacted:
                raise Violation("chosen order", (node.id,), f"knows slot {slot} to be chosen, and not what it holds")
        known.chosen = node.chosen

    def _check_agreement(self, name: NodeId, slot: int, proposal: Proposal) -> None:
        first = self.chosen.get(slot)
        if first is None:
            self.chosen[slot] = (proposal, name)
            for ballot, (value, replica) in self.proposals.pop(slot, {}).items():
                self._check_later(replica, slot, Proposal(ballot, value), proposal, name)
            return
        chosen, where = first
        if chosen.value is not proposal.value and chosen.value != proposal.value:
            what = f"{where} and {name} know different values to be chosen for slot {slot}"
            raise Violation("agreement", dict.fromkeys((where, name)), what)


INVARIANTS = (Ballots, Slots)
