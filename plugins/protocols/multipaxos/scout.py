"""Phase 1 of one ballot, as its candidate sees it (PMMC, §4.1: the scout).

Phase 1 ends when a quorum of acceptors has promised and reported everything it has accepted (PMMC: adopted). The
candidate then leads, and proposes `values` from the first slot that it does not know to be chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from framework import NO_BALLOT, Ballot, NodeId, Quorums, highest_proposal
from plugins.protocols.multipaxos.messages import Promise, Proposal, Value


@dataclass(slots=True)
class Scout:
    """The acceptors' answers so far."""

    waiting_for: dict[NodeId, int]
    """Acceptors that have neither refused nor reported everything (PMMC: waitfor), with the slot to report from."""
    released: Ballot = NO_BALLOT
    """The ballot whose leader handed over to this candidate."""
    answered: set[NodeId] = field(default_factory=set)
    """Acceptors that have answered, with a promise or a refusal."""
    promised: set[NodeId] = field(default_factory=set)
    """Acceptors that have promised and reported everything."""
    found: dict[int, Proposal] = field(default_factory=dict)
    """By slot: the reported proposal of the highest ballot (PMMC: pmax)."""

    @classmethod
    def of(cls, acceptors: Iterable[NodeId], slot: int, released: Ballot) -> Scout:
        """Begins phase 1 with `acceptors`, for all slots from `slot` on."""
        return cls(dict.fromkeys(acceptors, slot), released)

    def take(self, acceptor: NodeId, promise: Promise) -> bool:
        """Records a promise. Returns whether the acceptor has more to report, from `promise.following` on."""
        self.answered.add(acceptor)
        for pvalue in promise.accepted:
            reported = Proposal(pvalue.ballot, pvalue.value)
            self.found[pvalue.slot] = highest_proposal((self.found.get(pvalue.slot), reported)) or reported
        if not promise.following:
            self.waiting_for.pop(acceptor, None)
            self.promised.add(acceptor)
            return False
        is_news = promise.following > self.waiting_for.get(acceptor, promise.following)
        if is_news:  # otherwise a duplicate
            self.waiting_for[acceptor] = promise.following
        return is_news

    def refused(self, acceptor: NodeId) -> None:
        """Records a refusal: the acceptor has promised a higher ballot. The others may still form a quorum."""
        self.answered.add(acceptor)
        self.waiting_for.pop(acceptor, None)

    def is_adopted(self, phase1: Quorums) -> bool:
        """Returns whether a quorum has promised and reported everything."""
        return phase1.reached(self.promised)

    def is_answered(self, phase1: Quorums) -> bool:
        """Returns whether a quorum has answered, refusals included."""
        return phase1.reached(self.answered)

    def values(self, chosen: int) -> list[Value]:
        """Returns the values to propose from the slot after `chosen` on (P2c), with a no-op in each gap."""
        found = (self.found.get(slot) for slot in range(chosen + 1, max(self.found, default=chosen) + 1))
        return [None if proposal is None else proposal.value for proposal in found]

    def gaps(self, chosen: int) -> list[int]:
        """Returns the unreported slots between `chosen` and the last reported slot: nothing can be chosen there."""
        return [slot for slot in range(chosen + 1, max(self.found, default=chosen)) if slot not in self.found]
