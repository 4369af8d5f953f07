"""Check-quorum and the leader's lease (thesis 4.2.3, 6.2, 6.4.1).

Heartbeats go out in rounds, which answers repeat. Once a majority has answered a round, all of it followed this leader
after the round had begun. From that follow both

- check-quorum: a leader whose rounds go unanswered for an election time-out steps down; and who has heard from a leader
  within the least election time-out does not vote, so that the leader of a working majority stays;
- the lease: none of that majority votes before the least election time-out has gone by on its own clock. Until then,
  counted from the *beginning* of the round, there is no other leader. Clocks that drift apart shorten it.

        round begins      a majority has answered        lease ends      the first of them may vote
    leader   |----------------------|----------------------------|                    |
    voter          | hears it                                              ...        |

A server forgets in a crash whom it has heard. It may have answered a moment before, so a restart counts as a word from a
leader. A later term that it learns of from an answer does not end the promise: the lease counts from when the leader was
heard. Only a transfer of leadership ends it, where the leader gives up its lease first.
"""

from __future__ import annotations

from framework import NodeId, handles, on_timer
from plugins.protocols.raft.election import LEADER
from plugins.protocols.raft.messages import RequestVote
from plugins.protocols.raft.prevote import PreVoting

PPM = 1_000_000


class Leasing(PreVoting):
    """Leads no longer than a majority follows, and knows until when there can be no other leader."""

    def on_start(self) -> None:
        super().on_start()
        self.confirmed = 0  # the latest round that a majority has answered
        self.began: dict[int, int] = {}  # when the rounds after it began
        self.lease_end = 0
        self.ceded = False  # in this term the lease is given up
        if self.config.check_quorum and self.term:
            self.heard_at = self.now

    @handles(RequestVote)
    def on_request_vote(self, sender: NodeId, request: RequestVote) -> None:
        # Its own term counts too: any answer may have raised it while the lease of the leader that it hears goes on. Only
        # a vote that it has given in that term already may be repeated.
        asks_for_new_vote = request.term > self.term or (request.term == self.term and self.voted_for is None)
        if asks_for_new_vote and self.config.check_quorum and not request.transfer and self.hears_leader():
            return  # thesis 4.2.3: it neither votes nor takes the term
        super().on_request_vote(sender, request)

    def on_elected(self) -> None:
        self.confirmed, self.began = 0, {}
        self.lease_end, self.ceded = 0, False
        super().on_elected()
        self._await_quorum()

    def on_deposed(self) -> None:
        super().on_deposed()
        self.lease_end = 0
        self.cancel_timer(self.lose_quorum)

    def begin_round(self) -> None:
        if self.config.check_quorum:  # without it a leader cut off would begin rounds for ever
            self.began[self.round + 1] = self.now
        super().begin_round()

    def on_answered(self, peer: NodeId, round: int) -> None:
        super().on_answered(peer, round)
        confirmed = self.quorums.held(self.answered)
        if self.role == LEADER and confirmed > self.confirmed:
            self.confirmed = confirmed
            self.on_confirmed()

    def on_confirmed(self) -> None:
        """Runs when a majority has answered the round `confirmed`."""
        self._await_quorum()
        if self.config.check_quorum:
            if self.config.read_mode == "lease" and not self.ceded:
                self.lease_end = self.began[self.confirmed] + self.lease_length()
            self.began = {round: at for round, at in self.began.items() if round > self.confirmed}

    @on_timer
    def lose_quorum(self) -> None:
        """Thesis 6.2: no round was answered for an election time-out, clients are better served elsewhere."""
        self.step_down()

    def lease_length(self) -> int:
        """How long voters wait at the least, on a clock that runs as slow as can be while theirs runs fast."""
        drift = self.config.max_clock_drift_ppm
        return self.config.election_timeout_min * (PPM - drift) // (PPM + drift)

    def holds_lease(self) -> bool:
        """Whether nobody else can have been elected so far."""
        return self.now < self.lease_end

    def cede_lease(self) -> None:
        """Another may be elected at any time from now on: a message that says so may be under way for long."""
        self.lease_end, self.ceded = 0, True

    def _await_quorum(self) -> None:
        if self.config.check_quorum:
            self.set_timer(self.lose_quorum, after=self.election_timeout)
