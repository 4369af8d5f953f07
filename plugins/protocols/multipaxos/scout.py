"""Phase 1 of one ballot, as its candidate sees it (PMMC, §4.1: the scout).

It ends when a quorum of acceptors has promised and reported all that it has accepted (PMMC: adopted). The candidate
then leads, and proposes `values` from the first slot on that it does not know to be chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from framework import NO_BALLOT, Ballot, NodeId, Quorums, highest_proposal
from plugins.protocols.multipaxos.messages import Promise, Proposal, Value


@dataclass(slots=True)
class Scout:
    """What the acceptors have answered so far."""

    waiting_for: dict[NodeId, int]
    """The acceptors that have neither refused nor reported all (PMMC: waitfor), each with the slot to report from."""
    released: Ballot = NO_BALLOT
    """The ballot whose leader gave way to this candidate."""
    answered: set[NodeId] = field(default_factory=set)
    """The acceptors that have answered, with a promise or a refusal."""
    promised: set[NodeId] = field(default_factory=set)
    """The acceptors that have promised, and reported all."""
    found: dict[int, Proposal] = field(default_factory=dict)
    """By slot: the proposal of the highest ballot that was reported (PMMC: pmax)."""

    @classmethod
    def of(cls, acceptors: Iterable[NodeId], slot: int, released: Ballot) -> Scout:
        """Begins phase 1 with `acceptors`, for all slots from `slot` on."""
        return cls(dict.fromkeys(acceptors, slot), released)

    def take(self, acceptor: NodeId, promise: Promise) -> bool:
        """Takes a promise in. Returns whether the acceptor has more to report, from `promise.following` on."""
        self.answered.add(acceptor)
        for pvalue in promise.accepted:
            reported = Proposal(pvalue.ballot, pvalue.value)
            self.found[pvalue.slot] = highest_proposal((self.found.get(pvalue.slot), reported)) or reported
        if not promise.following:
            self.waiting_for.pop(acceptor, None)
            self.promised.add(acceptor)
            return False
        is_news = promise.following > self.waiting_for.get(acceptor, promise.following)
        if is_news:  # else it came twice
            self.waiting_for[acceptor] = promise.following
        return is_news

    def refused(self, acceptor: NodeId) -> None:
        """The acceptor has promised a higher ballot. The others may be a quorum without it."""
        self.answered.add(acceptor)
        self.waiting_for.pop(acceptor, None)

    def is_adopted(self, phase1: Quorums) -> bool:
        """Whether a quorum has promised and reported all."""
        return phase1.reached(self.promised)

    def is_answered(self, phase1: Quorums) -> bool:
        """Whether a quorum has answered, be it with refusals."""
        return phase1.reached(self.answered)

    def values(self, chosen: int) -> list[Value]:
        """What must be proposed from the slot after `chosen` on (P2c), with a no-op in each gap."""
        found = (self.found.get(slot) for slot in range(chosen + 1, max(self.found, default=chosen) + 1))
        return [None if proposal is None else proposal.value for proposal in found]

    def gaps(self, chosen: int) -> list[int]:
        """The slots after `chosen`, below the last one reported, that no report names: nothing can be chosen there."""
        return [slot for slot in range(chosen + 1, max(self.found, default=chosen)) if slot not in self.found]
