"""The acceptor: what it promises, what it accepts, and for how long it is the leader's.

An acceptor promises a ballot for all slots at once (Paxos Made Simple, §3). A slot may be accepted before those below it:

    slot     5 6 7 8 9 10 11 12 13
    ballot   2 2 2 1 1     2  2
             |-------|     |---|       `accepted` ends at the first gap; `beyond` holds what lies past it
                 ^                     the mark: up to here all is chosen, or accepted in the ballot promised, which is 2

The mark is the one number that acknowledges it all. It is not durable: it can be seen in the log, and grows again from there.

An acceptor that hears a leader promises nothing to others for `election_timeout_min` (Paxos Made Live, §5.2). Where
leases serve reads, one that has restarted does not know whom it heard, and keeps silent for as long.
"""

from __future__ import annotations

from framework import DurableLog, DurableMap, Node, NodeId, durable, durable_log, durable_map, handles
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
    accepted: DurableLog[Proposal] = durable_log(Proposal)
    beyond: DurableMap[int, Proposal] = durable_map(int, Proposal)

    def on_start(self) -> None:
        self.leader: NodeId | None = None  # of the ballot promised, once it has been heard
        self.heard = self.now if self.may_be_bound() else LONG_AGO  # when a leader last was
        self.chosen = self.compacted  # all up to here is chosen, and its values are known
        self.mark = self.chosen  # all up to here is chosen, or accepted in the ballot promised

    @property
    def compacted(self) -> int:
        """Up to here all is chosen, and no longer held."""
        return self.accepted.first - 1

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
        for at in range(slot, max(self.beyond, default=self.accepted.last) + 1):
            proposal = self.proposal(at)
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
        ballot, log = self.promised, self.accepted
        proposals = [Proposal(ballot, value) for value in values]
        if slot == self.mark + 1 == log.last + 1 and not self.beyond:  # as nearly always: the next slots
            log.extend(proposals)
            self.mark = log.last
        elif slot <= log.last + 1:
            known = max(self.mark + 1 - slot, 0)
            log.replace(slot + known, proposals[known:])
            self.close_gap()
            self.advance_mark()
        else:
            for at, proposal in enumerate(proposals, slot):
                if not self.has_accepted(at):
                    self.beyond[at] = proposal

    def close_gap(self) -> None:
        """What lies beyond the gap joins the log where that has reached it."""
        log, beyond = self.accepted, self.beyond
        for slot in sorted(beyond):
            if slot > log.last + 1:
                return
            if slot == log.last + 1:
                log.append(beyond[slot])
            del beyond[slot]

    def advance_mark(self) -> None:
        mark = max(self.mark, self.chosen)
        while self.has_accepted(mark + 1):
            mark += 1
        self.mark = mark

    def has_accepted(self, slot: int) -> bool:
        """Whether it has accepted a value there in the ballot promised."""
        proposal = self.proposal(slot)
        return proposal is not None and proposal.ballot == self.promised

    def proposal(self, slot: int) -> Proposal | None:
        """What it has accepted there; None if nothing, or it is compacted."""
        log = self.accepted
        return log[slot] if log.first <= slot <= log.last else self.beyond.get(slot)


def size_of(value: Value) -> int:
    return 0 if value is None else len(value.body)
