"""Phase 1: how a node comes to lead, once for the whole log (Paxos Made Simple, §3; Paxos Made Live, §4.1).

    follower --time-out--> candidate --quorum of promises--> leader --no quorum answers--> follower
        ^                   |      ^                          |  ^
        |                   |      +--time-out: a new ballot  |  |
        +---higher ballot---+                                 |  +--refused: a higher ballot of its own, led as before
        +-------------------------------higher ballot---------+

A candidate's own promise is a message to itself, like its acceptances: it counts once it is durable.

Whoever promises puts off its own candidacy, so that the candidate has its chance. So a candidate goes on asking for the ballot
that it has begun, and begins a higher one only once a quorum has answered, be it with refusals. Where links are lost so that a
single node reaches a quorum (the quorum loss of Ng, Haridi and Carbone, *Omni-Paxos*, EuroSys 2023), all others stand in vain,
and with ever higher ballots would hold that node back for ever.
"""

from __future__ import annotations

from collections.abc import Collection

from framework import NodeId, handles, on_timer
from plugins.protocols.multipaxos.learner import Learner
from plugins.protocols.multipaxos.messages import (
    NO_BALLOT,
    Ballot,
    Prepare,
    Promise,
    Proposal,
    Refused,
    Value,
)

FOLLOWER, CANDIDATE, LEADER = "follower", "candidate", "leader"


class Election(Learner):
    """Phase 1a. What a leader does, its subclasses say."""

    def on_start(self) -> None:
        self.role = FOLLOWER
        self.quorums = self.config.quorums.build(tuple(sorted((*self.peers, self.id))))
        self.highest = 0  # the highest round that a refusal told of
        self.told = 0  # of what it accepted, the candidate promised has been told from here on
        self.raised = False  # whether this candidate led the ballot before
        self.reached: set[NodeId] = set()  # who has answered its ballot, with a promise or a refusal
        self.promises: set[NodeId] = set()  # who has promised and told all
        self.wanted: dict[NodeId, int] = {}  # the slot from which each has yet to tell
        self.relieves = NO_BALLOT  # the leader that gave way to this candidate
        self.found: dict[int, Proposal] = {}  # by slot: of what they told, what the highest ballot proposed
        super().on_start()
        self.await_leader()

    def can_serve(self, running: Collection[NodeId]) -> bool:
        return self.quorums.phase1.reached(running) and self.quorums.phase2.reached(running)

    def on_elected(self, values: list[Value]) -> None:
        """Runs when a quorum has promised: `values` must be proposed from the first slot on that is not chosen."""

    def on_deposed(self) -> None:
        """Runs when this node, which led or tried to, follows."""

    @on_timer
    def stand(self) -> None:
        if self.role == CANDIDATE and not self.quorums.phase1.reached(self.reached):
            self.await_leader()  # a higher ballot would not win either; `prepare_again` goes on for this one
        else:
            self.prepare()

    def prepare(self, relieves: Ballot = NO_BALLOT) -> None:
        """Begins a ballot above all that are known. Prepare leaves when it is durable, so that none is begun twice."""
        ballot = Ballot(max(self.promised.round, self.highest) + 1, self.id)
        self.role = CANDIDATE
        self.reached, self.promises, self.found, self.relieves = set(), set(), {}, relieves
        self.promise(ballot)
        self.await_leader()
        everyone = (self.id, *self.peers)
        self.wanted = dict.fromkeys(everyone, self.chosen + 1)
        self.multicast(everyone, Prepare(ballot, self.chosen + 1, relieves))
        self.set_timer(self.prepare_again, after=self.config.heartbeat_interval)

    @on_timer
    def prepare_again(self) -> None:
        """Asks those anew who have not told all: something was lost, or they were bound by a lease."""
        if self.role == CANDIDATE:
            for acceptor, slot in self.wanted.items():
                self.send(acceptor, Prepare(self.promised, slot, self.relieves))
            self.set_timer(self.prepare_again, after=self.config.heartbeat_interval)

    @handles(Promise)
    def on_promise(self, sender: NodeId, promise: Promise) -> None:
        if (
            self.role != CANDIDATE or promise.ballot != self.promised
        ):  # a quorum has promised already, or a ballot gone by
            return
        self.reached.add(sender)
        for pvalue in promise.accepted:
            known = self.found.get(pvalue.slot)
            if known is None or pvalue.ballot > known.ballot:
                self.found[pvalue.slot] = Proposal(pvalue.ballot, pvalue.value)
        if promise.following:
            if promise.following > self.wanted.get(sender, promise.following):  # else it came twice
                self.wanted[sender] = promise.following
                self.await_leader()  # a long log takes its time
                self.send(sender, Prepare(self.promised, promise.following, self.relieves))
            return
        self.wanted.pop(sender, None)
        self.promises.add(sender)
        if self.quorums.phase1.reached(self.promises):
            self.lead()

    def lead(self) -> None:
        """Leads: where anything may have been chosen that is proposed again, and gaps are filled with no-ops."""
        self.role, self.leader, self.heard = LEADER, self.id, self.now
        self.cancel_timer(self.stand)
        self.note("raised" if self.raised else "elected", round=self.promised.round)
        last = max(self.found, default=self.chosen)
        values = [
            self.found[slot].value if slot in self.found else self.fill(slot)
            for slot in range(self.chosen + 1, last + 1)
        ]
        self.raised = False
        self.on_elected(values)

    def fill(self, slot: int) -> Value:
        """The value for a slot of which no promise tells: nothing can have been chosen there."""
        self.note("filled", slot=slot)
        return None

    @handles(Refused)
    def on_refused(self, sender: NodeId, refused: Refused) -> None:
        if refused.behind and self.role == CANDIDATE:  # who told so may stand, and must have its chance
            self.step_down()
            self.set_timer(self.stand, after=2 * self.config.election_timeout_max)
        if refused.ballot <= self.promised:  # of an earlier ballot
            return
        self.highest = max(self.highest, refused.ballot.round)
        self.reached.add(sender)
        self.wanted.pop(sender, None)  # the others may be a quorum without it
        if self.role == LEADER and self.now - self.heard < self.config.election_timeout_min:
            self.raised = True  # a quorum is with it: the one who refused comes along in a higher ballot
            self.prepare()
        elif self.role == LEADER:
            self.step_down()

    def promise(self, ballot: Ballot) -> None:
        super().promise(ballot)
        self.told = 0
        if ballot.node != self.id and self.role != FOLLOWER:
            self.step_down()

    def promise_from(self, slot: int) -> Promise:
        if slot > self.told and self.role != LEADER:
            self.told = slot
            self.await_leader()  # whoever is promised, and hears it, has its chance
        return super().promise_from(slot)

    def follow(self, leader: NodeId, ballot: Ballot) -> None:
        assert self.role == FOLLOWER or ballot > self.promised, f"{leader} and {self.id} both lead {ballot}"
        super().follow(leader, ballot)
        self.await_leader()

    def step_down(self, successor: NodeId | None = None) -> None:
        if self.role == LEADER or self.raised:
            self.note("stepped_down", round=self.promised.round)
        self.role, self.leader, self.raised = FOLLOWER, successor, False
        self.on_deposed()
        self.await_leader()

    def await_leader(self) -> None:
        after = self.rng.randint(self.config.election_timeout_min, self.config.election_timeout_max)
        self.set_timer(self.stand, after=after)
