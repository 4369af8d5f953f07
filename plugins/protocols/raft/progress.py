"""What a leader knows of each server's log (after etcd's `tracker/progress.go`).

    | state | is sent | ends |
    | --- | --- | --- |
    | REPLICATING | entries as they come, about `max_in_flight` unacknowledged ones | refused: PROBING; the next entry is compacted: SNAPSHOTTING, or PROBING while earlier ones are unacknowledged |
    | PROBING | one AppendEntries after each refusal, otherwise heartbeats | accepted: REPLICATING; the next entry is compacted: SNAPSHOTTING |
    | SNAPSHOTTING | one chunk of a snapshot at a time, and heartbeats | the log holds what follows: REPLICATING; stalled: PROBING |

A new leader takes every server for REPLICATING, its own log's end being the most likely place where the logs agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from framework import OutgoingTransfer, Record
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.messages import InstallSnapshot, Snapshot

PROBING, REPLICATING, SNAPSHOTTING = "probing", "replicating", "snapshotting"


class CatchUp(Record):
    """How a learner catches up, in rounds of replication (thesis 4.2.1).

    Round `number` began at `began` (nanoseconds) and ends when the learner holds the entry `upto`, the leader's last one
    by then. `done`: one round was short enough for the learner to vote.
    """

    number: int
    upto: int
    began: int
    done: bool = False

    def following(self, last: int, now: int, config: RaftConfig) -> CatchUp | None:
        """The next round, as this one has ended; None if there have been too many.

        A round that takes no longer than an election leaves so little that no vote is held up.
        """
        if now - self.began < config.election_timeout_min:
            return CatchUp(self.number, self.upto, self.began, done=True)
        return CatchUp(self.number + 1, last, now) if self.number < config.catch_up_rounds else None


@dataclass(slots=True)
class Progress:
    """A leader's view of one server, its own log included. Indexes as in Figure 2."""

    next_index: int
    """The entry to send next; it runs ahead of `match_index`, because entries go out without waiting for answers."""
    match_index: int = 0
    """The logs agree up to here, durably."""
    window_start: int = field(init=False)
    """Entries after this one are unacknowledged: `match_index`, or the entry before the first that was sent."""
    state: str = REPLICATING
    outgoing: OutgoingTransfer[Snapshot] | None = None
    """The snapshot on its way, while SNAPSHOTTING."""
    chunk_round: int = 0
    """The round of heartbeats in which the latest chunk was sent. If a later round is answered first, the chunk is
    presumed lost."""
    catch_up: CatchUp | None = None
    """Of a learner that an administrator wants to vote."""

    def __post_init__(self) -> None:
        self.window_start = self.next_index - 1

    def wants_entries(self, last: int, window: int) -> bool:
        """Whether it lacks entries up to `last`, and has room for more: `window` may be unacknowledged."""
        return self.state == REPLICATING and self.next_index <= last and self.next_index <= self.window_start + window

    def is_ahead(self) -> bool:
        """Whether entries were sent that are not acknowledged."""
        return self.state != SNAPSHOTTING and self.next_index > self.match_index + 1

    def accepted(self, index: int) -> bool:
        """The logs agree up to `index`: whether that is news."""
        if self.state == PROBING:
            self.state = REPLICATING
        if index <= self.match_index:
            return False
        self.match_index = index
        self.window_start = max(self.window_start, index)
        self.next_index = max(self.next_index, index + 1)
        return True

    def is_stale_refusal(self, index: int) -> bool:
        """Whether the refusal of entries after `index` says nothing about what is under way now."""
        if index <= self.match_index:  # overtaken by a later acceptance
            return True
        if self.state == PROBING:  # it answers an earlier message
            return index != self.next_index - 1
        return self.state == SNAPSHOTTING

    def probe(self, agreed: int) -> None:
        """Goes back to the entry after `agreed`, where the logs may agree, or to what is known to."""
        self.state = PROBING
        self.window_start = max(agreed, self.match_index)
        self.next_index = self.window_start + 1

    def start_snapshot(self, snapshot: Snapshot, now: int) -> None:
        self.state, self.outgoing = SNAPSHOTTING, OutgoingTransfer(snapshot, now)

    def lacks_snapshot(self) -> bool:
        """Whether a snapshot is on its way, and the server does not hold the entry that ends it."""
        return self.outgoing is not None and self.match_index < self.outgoing.snapshot.index

    def next_chunk(self, term: int, round: int, max_bytes: int) -> InstallSnapshot:
        """The bytes that follow those that the server holds of the snapshot, as sent in `round`."""
        assert self.outgoing is not None, "no snapshot is on its way"
        self.chunk_round = round
        snapshot, offset, data = self.outgoing.snapshot, self.outgoing.offset, self.outgoing.chunk(max_bytes)
        done = self.outgoing.is_last(data)
        return InstallSnapshot(term, snapshot.index, snapshot.term, offset, data, done, snapshot.configuration)

    def end_snapshot(self) -> None:
        """The log holds what follows: entries go on."""
        self.state, self.outgoing = REPLICATING, None
