"""Leader election (§5.2) with the election restriction (§5.4.1).

    follower --time-out--> candidate --majority of votes--> leader
        ^                  |      ^                             |
        |                  |      +--time-out: a new election   |
        +--higher term, or the leader of this term--------------+

A candidate's own vote is a message to itself. It arrives once `term` and `voted_for` are durable, so that no
vote is ever counted that a crash could take back.
"""

from __future__ import annotations

from collections.abc import Collection

from framework import NodeId, durable, handles, on_timer
from framework.replication.quorums import Majority, Quorums
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.log import LogKeeping
from plugins.protocols.raft.messages import RequestVote, Vote

FOLLOWER, CANDIDATE, LEADER = "follower", "candidate", "leader"


class Election(LogKeeping):
    """A server's term and vote, and how it comes to lead. What a leader does, its subclasses say."""

    config: RaftConfig

    term: int = durable(0)
    voted_for: NodeId | None = durable(None)

    def on_start(self) -> None:
        super().on_start()
        self.role = FOLLOWER
        self.leader: NodeId | None = None
        self.heard_at: int | None = None  # when the last word from a leader came, since this start
        self.votes: set[NodeId] = set()
        self.quorums: Quorums = Majority((*self.peers, self.id))
        self.election_timeout = self._draw_timeout()
        self._await_leader()

    def can_serve(self, running: Collection[NodeId]) -> bool:
        return self.quorums.reached(running)

    def on_elected(self) -> None:
        """Runs when this node has won its term."""

    def on_deposed(self) -> None:
        """Runs when this node led and has become a follower, mostly because it learnt of a later term."""

    @on_timer
    def start_election(self) -> None:
        """No leader was heard for an election time-out."""
        self.stand()

    def stand(self, *, transfer: bool = False) -> None:
        """Asks for votes in a new term; `transfer`: the leader itself wants this node to take over."""
        self.role, self.leader = CANDIDATE, None
        self.term += 1
        self.voted_for = self.id
        self.votes = set()
        self.election_timeout = self._draw_timeout()  # §5.2: drawn anew, so that split votes do not repeat
        self._await_leader()
        # After the commit: a vote is given to the log that this message describes.
        self.broadcast(RequestVote(self.term, self.log.last, self.term_at(self.log.last), transfer))
        self.send(self.id, Vote(self.term, True))

    @handles(RequestVote)
    def on_request_vote(self, sender: NodeId, request: RequestVote) -> None:
        if request.term < self.term:  # from a term gone by
            self.send(sender, Vote(self.term, False))
            return
        if request.term > self.term:
            self.enter_term(request.term)
        granted = self.voted_for in (None, sender) and self.is_current(request)
        if granted:
            self.voted_for = sender
            self._await_leader()  # §5.2: only a vote that is granted puts off one's own election
        self.send(sender, Vote(self.term, granted))

    @handles(Vote)
    def on_vote(self, sender: NodeId, vote: Vote) -> None:
        if vote.term > self.term:
            self.enter_term(vote.term)
            return
        if self.role != CANDIDATE or vote.term < self.term or not vote.granted:
            return  # decided already, from an election gone by, or refused
        self.votes.add(sender)
        if self.quorums.reached(self.votes):
            self.role, self.leader = LEADER, self.id
            self.cancel_timer(self.start_election)
            self.note("elected", term=self.term)
            self.on_elected()

    def enter_term(self, term: int) -> None:
        """§5.1: a server that sees a later term follows in it."""
        assert term > self.term, f"{self.id} in term {self.term} cannot go back to {term}"
        self.term, self.voted_for = term, None
        self.election_timeout = self._draw_timeout()
        self.step_down()

    def step_down(self) -> None:
        """Follows in its term, knowing no leader."""
        led = self.role == LEADER
        self.role, self.leader = FOLLOWER, None
        if led:
            self._await_leader()  # a leader's own timer does not run
            self.note("stepped_down", term=self.term)
            self.on_deposed()

    def follow(self, leader: NodeId) -> None:
        """Takes `leader` for the leader of this node's term, and waits for its next word."""
        assert self.role != LEADER, f"{leader} and {self.id} both lead term {self.term}"
        self.role, self.leader, self.heard_at = FOLLOWER, leader, self.now
        self._await_leader()

    def _await_leader(self) -> None:
        self.set_timer(self.start_election, after=self.election_timeout)

    def _draw_timeout(self) -> int:
        return self.rng.randint(self.config.election_timeout_min, self.config.election_timeout_max)
