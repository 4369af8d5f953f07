"""A leader's view of each server's log (after etcd's `tracker/progress.go`).

- REPLICATING: the server is sent entries as they come, up to about `max_in_flight` unacknowledged ones. After a refusal
  it is PROBING. If the next entry is compacted it is SNAPSHOTTING, or PROBING while earlier entries are unacknowledged.
- PROBING: the server is sent one AppendEntries after each refusal, otherwise heartbeats. After an acceptance it is
  REPLICATING. If the next entry is compacted it is SNAPSHOTTING.
- SNAPSHOTTING: the server is sent one chunk of a snapshot at a time, and heartbeats. Once the log holds the entries
  that follow, it is REPLICATING. If the transfer stalls, it is PROBING.

A new leader assumes that every server is REPLICATING, because the logs most likely agree at the end of its own log.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from framework import OutgoingTransfer, Record
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.messages import InstallSnapshot, Snapshot

PROBING, REPLICATING, SNAPSHOTTING = "probing", "replicating", "snapshotting"


class CatchUp(Record):
    """A learner's catch-up in rounds of replication (thesis 4.2.1).

    Round `number` began at `began` (nanoseconds) and ends when the learner holds the entry `upto`, the leader's last
    entry at the beginning. `done`: a round was short enough for the learner to become a voter.
    """

    number: int
    upto: int
    began: int
    done: bool = False

    def following(self, last: int, now: int, config: RaftConfig) -> CatchUp | None:
        """Returns the next round after the end of this one; None if there have been too many.

        After a round shorter than an election time-out, so few entries are missing that the learner delays no commit.
        """
        if now - self.began < config.election_timeout_min:
            return CatchUp(self.number, self.upto, self.began, done=True)
        return CatchUp(self.number + 1, last, now) if self.number < config.catch_up_rounds else None


@dataclass(slots=True)
class Progress:
    """A leader's view of one server, itself included. Indexes are those of Figure 2."""

    next_index: int
    """The next entry to send; it runs ahead of `match_index`, because entries are sent without waiting for answers."""
    match_index: int = 0
    """The last index up to which the logs durably agree."""
    window_start: int = field(init=False)
    """The entry before the unacknowledged ones: `match_index`, or the entry before the first one sent."""
    state: str = REPLICATING
    outgoing: OutgoingTransfer[Snapshot] | None = None
    """The snapshot in transit, while SNAPSHOTTING."""
    chunk_round: int = 0
    """The heartbeat round in which the latest chunk was sent. If a later round is answered first, the chunk is
    presumed lost."""
    catch_up: CatchUp | None = None
    """The catch-up of a learner that shall become a voter; None for other servers."""

    def __post_init__(self) -> None:
        self.window_start = self.next_index - 1

    def wants_entries(self, last: int, window: int) -> bool:
        """Returns whether the server lacks entries up to `last`, and its `window` of unacknowledged ones has room."""
        return self.state == REPLICATING and self.next_index <= last and self.next_index <= self.window_start + window

    def is_ahead(self) -> bool:
        """Returns whether there are sent but unacknowledged entries."""
        return self.state != SNAPSHOTTING and self.next_index > self.match_index + 1

    def accepted(self, index: int) -> bool:
        """Records that the logs agree up to `index`. Returns whether that is new."""
        if self.state == PROBING:
            self.state = REPLICATING
        if index <= self.match_index:
            return False
        self.match_index = index
        self.window_start = max(self.window_start, index)
        self.next_index = max(self.next_index, index + 1)
        return True

    def is_stale_refusal(self, index: int) -> bool:
        """Returns whether the refusal of entries after `index` concerns an earlier message, not those in flight."""
        if index <= self.match_index:  # overtaken by a later acceptance
            return True
        if self.state == PROBING:  # it answers an earlier message
            return index != self.next_index - 1
        return self.state == SNAPSHOTTING

    def probe(self, agreed: int) -> None:
        """Goes back to the entry after `agreed`, where the logs may agree, or after `match_index`, where they do."""
        self.state = PROBING
        self.window_start = max(agreed, self.match_index)
        self.next_index = self.window_start + 1

    def start_snapshot(self, snapshot: Snapshot, now: int) -> None:
        self.state, self.outgoing = SNAPSHOTTING, OutgoingTransfer(snapshot, now)

    def lacks_snapshot(self) -> bool:
        """Returns whether a snapshot is in transit and the server does not hold its last entry."""
        return self.outgoing is not None and self.match_index < self.outgoing.snapshot.index

    def next_chunk(self, term: int, round: int, max_bytes: int) -> InstallSnapshot:
        """Returns the chunk that follows the server's bytes of the snapshot, and records it as sent in `round`."""
        assert self.outgoing is not None, "no snapshot is on its way"
        self.chunk_round = round
        snapshot, offset, data = self.outgoing.snapshot, self.outgoing.offset, self.outgoing.chunk(max_bytes)
        done = self.outgoing.is_last(data)
        return InstallSnapshot(term, snapshot.index, snapshot.term, offset, data, done, snapshot.configuration)

    def end_snapshot(self) -> None:
        """Returns to replication: the log holds the entries that follow."""
        self.state, self.outgoing = REPLICATING, None
