"""PreVote (thesis 9.6): a server asks whether it would win before it raises its term.

    follower --time-out--> pre-candidate --a majority would vote for it--> candidate

A server that was cut off asks in vain, in its old term, and deposes nobody when it is back. Whoever leads, or heard from
a leader within the least election time-out, does not answer. An answer promises nothing and nothing of this is durable.
"""

from __future__ import annotations

from framework import NodeId, handles, on_timer
from plugins.protocols.raft.clients import Serving
from plugins.protocols.raft.election import LEADER
from plugins.protocols.raft.messages import PreVote, PreVoted

PRE_CANDIDATE = "pre-candidate"


class PreVoting(Serving):
    """Stands for election only once a majority would vote for it."""

    def on_start(self) -> None:
        super().on_start()
        self.prevotes: set[NodeId] = set()

    @on_timer
    def start_election(self) -> None:
        if not self.config.prevote:
            super().start_election()
            return
        self.role, self.leader = PRE_CANDIDATE, None
        self.prevotes = {self.id}
        self.election_timeout = self._draw_timeout()
        self._await_leader()
        last = self.log.last
        self.broadcast(PreVote(self.term + 1, last, self.term_at(last)))
        self._stand_if_backed()

    @handles(PreVote)
    def on_prevote(self, sender: NodeId, request: PreVote) -> None:
        if self.hears_leader():
            return
        unbound = request.term == self.term and self.voted_for in (None, sender)
        if (request.term > self.term or unbound) and self.is_current(request):
            self.send(sender, PreVoted(request.term, True))
        else:
            self.send(sender, PreVoted(self.term, False))

    @handles(PreVoted)
    def on_prevoted(self, sender: NodeId, answer: PreVoted) -> None:
        if not answer.granted:
            if answer.term > self.term:
                self.enter_term(answer.term)
            return
        if self.role != PRE_CANDIDATE or answer.term != self.term + 1:
            return  # decided already, or from an attempt gone by
        self.prevotes.add(sender)
        self._stand_if_backed()

    def hears_leader(self) -> bool:
        """Whether it leads, or heard from a leader within the least election time-out."""
        if self.role == LEADER:
            return True
        return self.heard_at is not None and self.now < self.heard_at + self.config.election_timeout_min

    def _stand_if_backed(self) -> None:
        if self.quorums.reached(self.prevotes):
            self.stand()
