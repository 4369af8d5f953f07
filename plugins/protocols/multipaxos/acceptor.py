"""The acceptor: what it promises, what it accepts, and for how long it is the leader's.

An acceptor promises a ballot for all slots at once (Paxos Made Simple, §3). The log is a map: a slot may be accepted
before those below it. What has been accepted in the ballot promised without a gap is the `mark`, and one number
acknowledges it all. A mark is not durable: it is what can be seen in `accepted`, and grows again from there.

An acceptor that hears a leader promises nothing to others for `election_timeout_min` (Paxos Made Live, §5.2). Where
leases serve reads, one that has restarted does not know whom it heard, and keeps silent for as long.
"""

from __future__ import annotations

from framework import DurableMap, Node, NodeId, durable, durable_map, handles
from plugins.protocols.multipaxos.config import MultiPaxosConfig
from plugins.protocols.multipaxos.messages import (
    NO_BALLOT,
    Accept,
    Accepted,
    Ballot,
    Heartbeat,
    Prepare,
    Promise,
    Proposal,
    Pvalue,
    Refused,
    Value,
)

LONG_AGO = -(1 << 62)


class Acceptor(Node):
    """Phase 1b and phase 2b."""

    config: MultiPaxosConfig

    promised: Ballot = durable(NO_BALLOT)
    accepted: DurableMap[int, Proposal] = durable_map(int, Proposal)
    compacted: int = durable(0)
    """Up to here all is chosen, and no longer in `accepted`."""

    def on_start(self) -> None:
        self.leader: NodeId | None = None  # of the ballot promised, once it has been heard
        self.heard = self.now if self.may_be_bound() else LONG_AGO  # when a leader last was
        self.chosen = self.compacted  # all up to here is chosen, and its values are known
        self.mark = self.chosen  # all up to here is chosen, or accepted in the ballot promised
        self.top = max(self.accepted, default=0)  # the last slot where anything is accepted

    def on_heard(self, chosen: int, last: int) -> None:
        """Runs at each word of the leader: all up to `chosen` is chosen, and up to `last` is proposed."""

    @handles(Prepare)
    def on_prepare(self, sender: NodeId, prepare: Prepare) -> None:
        if prepare.ballot < self.promised:
            self.send(sender, Refused(self.promised))
            return
        if prepare.slot <= self.compacted:  # of what was chosen there it could tell nothing
            self.send(sender, Refused(self.promised, behind=True))
            return
        if prepare.ballot > self.promised:
            if self.is_bound(sender) and prepare.relieves != self.promised:  # the lease of another
                return
            self.promise(prepare.ballot)
        self.send(sender, self.promise_from(prepare.slot))

    @handles(Accept)
    def on_accept(self, sender: NodeId, accept: Accept) -> None:
        if accept.ballot < self.promised:  # from a leader that was
            self.send(sender, Refused(self.promised))
            return
        self.follow(sender, accept.ballot)
        self.accept(accept.slot, accept.values)
        self.on_heard(accept.chosen, accept.slot + len(accept.values) - 1)
        self.send(sender, Accepted(accept.ballot, self.mark))

    @handles(Heartbeat)
    def on_heartbeat(self, sender: NodeId, beat: Heartbeat) -> None:
        if beat.ballot < self.promised:
            self.send(sender, Refused(self.promised))
            return
        self.follow(sender, beat.ballot)
        self.on_heard(beat.chosen, beat.last)
        self.send(sender, Accepted(beat.ballot, self.mark, beat.round))

    def is_bound(self, candidate: NodeId) -> bool:
        """Whether a leader other than `candidate` may hold this acceptor's lease."""
        return self.leader != candidate and self.now - self.heard < self.config.election_timeout_min

    def may_be_bound(self) -> bool:
        """Whether, in an earlier life, it may have answered a leader whose lease now lasts."""
        return self.config.read_mode == "lease" and self.promised != NO_BALLOT

    def promise(self, ballot: Ballot) -> None:
        """From now on, nothing in a lower ballot."""
        assert ballot > self.promised, f"{self.id} promised {self.promised} and cannot go back to {ballot}"
        self.promised = ballot
        self.leader, self.heard = None, LONG_AGO
        self.mark = self.chosen

    def promise_from(self, slot: int) -> Promise:
        """The promise, with what is accepted from `slot` on, as far as it fits."""
        told: list[Pvalue] = []
        size = 0
        for at in range(slot, self.top + 1):
            proposal = self.accepted.get(at)
            if proposal is None:
                continue
            size += size_of(proposal.value)
            if told and (len(told) == self.config.max_accept_slots or size > self.config.max_accept_bytes):
                return Promise(self.promised, tuple(told), at)
            told.append(Pvalue(at, proposal.ballot, proposal.value))
        return Promise(self.promised, tuple(told))

    def follow(self, leader: NodeId, ballot: Ballot) -> None:
        """Takes `leader` for the one that leads `ballot`, from now on for the length of its lease."""
        if ballot > self.promised:
            self.promise(ballot)
        self.leader, self.heard = leader, self.now

    def accept(self, slot: int, values: tuple[Value, ...]) -> None:
        """Accepts `values` from `slot` on in the ballot promised, and what is new of them is written."""
        ballot, last = self.promised, slot + len(values) - 1
        proposals = {at: Proposal(ballot, value) for at, value in enumerate(values, slot)}
        if slot == self.mark + 1 and slot > self.top:  # as nearly always: the next slots, and nothing stands there
            self.accepted.update(proposals)
            self.mark = self.top = last
            return
        for at, proposal in proposals.items():
            if at > self.chosen and not self.has_accepted(at):
                self.accepted[at] = proposal
        self.top = max(self.top, last)
        self.advance_mark()

    def advance_mark(self) -> None:
        mark = max(self.mark, self.chosen)
        while self.has_accepted(mark + 1):
            mark += 1
        self.mark = mark

    def has_accepted(self, slot: int) -> bool:
        """Whether it has accepted a value there in the ballot promised."""
        proposal = self.accepted.get(slot)
        return proposal is not None and proposal.ballot == self.promised


def size_of(value: Value) -> int:
    return 0 if value is None else len(value.body)
