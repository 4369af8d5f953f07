"""Settings of Raft."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from framework import Duration, ReadingConfig


class RaftConfig(ReadingConfig):
    """Timing, batching and snapshots. Raises ValueError on a combination that cannot keep a leader, or not safely."""

    election_timeout_min: Duration = Duration("150ms")
    """Minimum election time-out: the time without a leader before a follower starts an election (§5.2)."""
    election_timeout_max: Duration = Duration("300ms")
    """Maximum election time-out; each node draws its own time-out anew in each term."""
    heartbeat_interval: Duration = Duration("50ms")
    """Interval of the heartbeats of a leader."""
    prevote: bool = True
    """Whether a node checks that it could win before it raises its term (thesis 9.6), so that a node returning from a
    partition does not depose the leader."""
    check_quorum: bool = True
    """Whether a leader steps down if no majority has answered for an election time-out, and nodes that hear a leader
    vote for no other (thesis 4.2.3, 6.2)."""
    catch_up_rounds: Annotated[int, Meta(ge=1)] = 10
    """Number of replication rounds after which a learner that is still more than an election time-out behind is refused
    (thesis 4.2.1)."""
    catch_up_timeout: Duration = Duration("10s")
    """Total time to catch up after which a learner is refused."""
    max_append_entries: int = 1024
    """Maximum number of entries in one AppendEntries."""
    max_append_bytes: int = 1 << 20
    """Maximum bytes of commands in one AppendEntries; one entry always fits."""
    max_in_flight: int = 8192
    """Maximum number of unacknowledged entries sent to a follower."""
    max_uncommitted: int = 65_536
    """Maximum number of uncommitted entries; the leader refuses requests beyond it. Also the maximum number of waiting
    reads. Without `check_quorum`, a leader that is cut off would otherwise accept requests for ever."""
    snapshot_every: int = 100_000
    """Number of applied entries after which a node takes a snapshot; 0: never. The node pauses meanwhile: with a large
    state, frequent snapshots cost much of the throughput."""
    snapshot_trailing: int = 5_000
    """Number of entries kept in the log behind a snapshot, for followers that are slightly behind. With 0, sending a
    snapshot starts over if it takes longer than the interval between snapshots."""
    snapshot_chunk: int = 1 << 20
    """Maximum bytes of a snapshot in one message."""

    def __post_init__(self) -> None:
        if not 0 < self.election_timeout_min <= self.election_timeout_max:
            raise ValueError(
                f"election_timeout_min={self.election_timeout_min} and election_timeout_max="
                f"{self.election_timeout_max} are not a range: give 0 < min <= max"
            )
        if not 0 < self.heartbeat_interval < self.election_timeout_min:
            raise ValueError(
                f"heartbeat_interval={self.heartbeat_interval} must be above 0 and below "
                f"election_timeout_min={self.election_timeout_min}: half of it or less keeps a leader"
            )
        if self.catch_up_timeout <= 0:
            raise ValueError("catch_up_timeout=0 leaves a learner no time to catch up: give 10s, or another above 0")
        if self.read_mode == "lease" and not self.check_quorum:
            raise ValueError("read_mode=lease needs check_quorum=true: without it others vote while a lease lasts")
        for name in ("snapshot_every", "snapshot_trailing"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} is negative: give 0 or more")
        for name in ("max_append_entries", "max_append_bytes", "max_in_flight", "max_uncommitted", "snapshot_chunk"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} lets nothing through: give 1 or more")
