"""What a user may set about Raft."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from framework import Duration, ReadingConfig


class RaftConfig(ReadingConfig):
    """Timing and batching. ValueError on a combination that could never keep a leader, or none safely."""

    election_timeout_min: Duration = Duration("150ms")
    """A follower that hears from no leader for this long at the least stands for election (§5.2)."""
    election_timeout_max: Duration = Duration("300ms")
    """... and for this long at the most; each node draws its own time-out anew in each term."""
    heartbeat_interval: Duration = Duration("50ms")
    """How often a leader says that it is there."""
    prevote: bool = True
    """Whether a node asks if it would win before it raises its term (thesis 9.6): one that was cut off deposes nobody."""
    check_quorum: bool = True
    """Whether a leader steps down that no majority has answered for an election time-out, and whoever hears a leader
    votes for nobody else (thesis 4.2.3, 6.2)."""
    catch_up_rounds: Annotated[int, Meta(ge=1)] = 10
    """A learner that still lags an election time-out behind after so many rounds of replication is refused (thesis 4.2.1)."""
    catch_up_timeout: Duration = Duration("10s")
    """... and so is one that takes longer than this."""
    max_append_entries: int = 1024
    """Entries in one AppendEntries, at the most."""
    max_append_bytes: int = 1 << 20
    """Bytes of commands in one AppendEntries, at the most; one entry always fits."""
    max_in_flight: int = 8192
    """A follower with this many entries that it has not acknowledged is sent no more until it does."""
    max_uncommitted: int = 65_536
    """A leader with this many entries that are not committed takes no more requests until some are, and no more reads than
    this may wait. Without `check_quorum`, a leader that is cut off would take them for ever."""
    snapshot_every: int = 100_000
    """A node takes a snapshot whenever it has applied so many entries since the last one; 0: never. It stands still meanwhile:
    with a large state, snapshots that come often cost much of the throughput."""
    snapshot_trailing: int = 5_000
    """So many of a snapshot's last entries stay in the log, for followers that are a little behind. Without any, sending a
    snapshot begins anew if it takes longer than until the next one."""
    snapshot_chunk: int = 1 << 20
    """Bytes of a snapshot in one message, at the most."""

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
                raise ValueError(f"{name}={getattr(self, name)} is less than nothing: give 0 or more")
        for name in ("max_append_entries", "max_append_bytes", "max_in_flight", "max_uncommitted", "snapshot_chunk"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} lets nothing through: give 1 or more")
