"""Rounds of heartbeats, and the leases that rest on them (Ongaro's thesis, 6.2 and 6.4.1; *Paxos Made Live*, §5.2).

A leader numbers its rounds of heartbeats, and answers repeat the number. If a quorum has answered round r, then each of
that quorum followed this leader after round r had begun: at that moment, nobody else can have been leading.

        round begins      a quorum has answered          lease ends      the first of the quorum may vote
    leader   |----------------------|--------------------------|                    |
    voter          | answers, and votes for nobody for `election_timeout_min`  ...  |

A lease counts from the beginning of the round, not from the answers, and is shortened by what clocks may drift.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from framework.core.message import NodeId
from framework.replication.quorums import Quorums

MOST_UNCONFIRMED = 4096
"""Rounds whose beginning is remembered. Of an older one that is confirmed after all, the beginning counts as unknown."""

_PPM = 1_000_000


@dataclass(slots=True)
class HeartbeatRounds:
    """The rounds that a leader has begun, which of them each node has answered, and which a quorum has.

    Times are nanoseconds of the leader's monotonic clock.
    """

    latest: int = 0
    """The round begun last; 0: none yet."""
    confirmed: int = 0
    """The latest round that a quorum has answered."""
    confirmed_at: int = 0
    """When that round began, or earlier if that is not remembered."""
    answered: dict[NodeId, int] = field(default_factory=dict)
    """The latest round that each node has answered."""
    unconfirmed: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=MOST_UNCONFIRMED))
    """The rounds after it, the oldest first, each with when it began."""

    def begin(self, now: int) -> int:
        """Begins a round; its number."""
        self.latest += 1
        self.unconfirmed.append((self.latest, now))
        return self.latest

    def answer(self, node: NodeId, round: int) -> bool:
        """Records an answer; whether it is the node's first to so late a round."""
        if round <= self.answered.get(node, 0):
            return False
        self.answered[node] = round
        return True

    def confirm(self, quorums: Quorums) -> bool:
        """Whether a quorum has answered a later round than `confirmed`, which is then that round."""
        held = quorums.held(self.answered)
        if held <= self.confirmed:
            return False
        self.confirmed = held
        while self.unconfirmed and self.unconfirmed[0][0] <= held:
            self.confirmed_at = self.unconfirmed.popleft()[1]
        return True


@dataclass(slots=True)
class Lease:
    """Until when no other node can lead, in nanoseconds of the leader's monotonic clock."""

    end: int = 0
    ceded: bool = False
    """Given up for the rest of the leader's term, because another node was told to take over."""

    def extend(self, end: int) -> None:
        """Lasts until `end`, unless it is given up."""
        if not self.ceded:
            self.end = end

    def holds(self, now: int) -> bool:
        return now < self.end

    def cede(self) -> None:
        """Gives it up for good: the message that says so may arrive however late."""
        self.end, self.ceded = 0, True


def lease_length(silence: int, drift_ppm: int) -> int:
    """How long a lease lasts from the beginning of its round, in nanoseconds of the leader's clock.

    Voters vote for nobody for `silence` nanoseconds of their own clocks, which may run fast by `drift_ppm` parts per
    million while the leader's runs slow by as much.
    """
    return silence * (_PPM - drift_ppm) // (_PPM + drift_ppm)
