"""Rounds of heartbeats, and the leases based on them (Ongaro's thesis, 6.2 and 6.4.1; *Paxos Made Live*, §5.2).

A leader numbers its rounds of heartbeats, and answers repeat the number. If a quorum has answered round r, each node of
that quorum followed this leader after round r had begun: at that moment, no other node can have been leading.

        round begins      a quorum has answered          lease ends      the first of the quorum may vote
    leader   |----------------------|--------------------------|                    |
    voter          | answers, and grants no vote for `election_timeout_min`    ...  |

A lease counts from the beginning of the round, not from the answers, and is shortened by the maximum clock drift.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from framework.core.message import NodeId
from framework.replication.quorums import Quorums

MOST_UNCONFIRMED = 4096
"""The number of rounds whose start is remembered. If an older round is confirmed after all, its start is unknown."""

_PPM = 1_000_000


@dataclass(slots=True)
class HeartbeatRounds:
    """The rounds that a leader has begun, and those answered by each node and by a quorum.

    Times are nanoseconds on the leader's monotonic clock.
    """

    latest: int = 0
    """The latest round begun; 0: none yet."""
    confirmed: int = 0
    """The latest round that a quorum has answered."""
    confirmed_at: int = 0
    """The start of that round, or an earlier time if its start is not remembered."""
    answered: dict[NodeId, int] = field(default_factory=dict)
    """The latest round that each node has answered."""
    unconfirmed: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=MOST_UNCONFIRMED))
    """The later rounds with their starts, the oldest first."""

    def begin(self, now: int) -> int:
        """Begins a round and returns its number."""
        self.latest += 1
        self.unconfirmed.append((self.latest, now))
        return self.latest

    def answer(self, node: NodeId, round: int) -> bool:
        """Records an answer. Returns whether it is to a later round than all the node's earlier answers."""
        if round <= self.answered.get(node, 0):
            return False
        self.answered[node] = round
        return True

    def confirm(self, quorums: Quorums) -> bool:
        """Advances `confirmed` to the latest round that a quorum has answered. Returns whether it advanced."""
        held = quorums.held(self.answered)
        if held <= self.confirmed:
            return False
        self.confirmed = held
        while self.unconfirmed and self.unconfirmed[0][0] <= held:
            self.confirmed_at = self.unconfirmed.popleft()[1]
        return True


@dataclass(slots=True)
class Lease:
    """The time until which no other node can lead, in nanoseconds on the leader's monotonic clock."""

    end: int = 0
    ceded: bool = False
    """True if given up for the rest of the leader's term, because another node was asked to take over."""

    def extend(self, end: int) -> None:
        """Extends the lease until `end`, unless it was given up."""
        if not self.ceded:
            self.end = end

    def holds(self, now: int) -> bool:
        return now < self.end

    def cede(self) -> None:
        """Gives up the lease for good: the message that asks another node to take over may arrive arbitrarily late."""
        self.end, self.ceded = 0, True


def lease_length(silence: int, drift_ppm: int) -> int:
    """Returns the length of a lease from the beginning of its round, in nanoseconds on the leader's clock.

    Voters grant no vote for `silence` nanoseconds on their own clocks, which may run fast by `drift_ppm` parts per
    million while the leader's runs slow by as much.
    """
    return silence * (_PPM - drift_ppm) // (_PPM + drift_ppm)
