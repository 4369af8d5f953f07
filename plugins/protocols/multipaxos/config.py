"""What a user may set about Multi-Paxos."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from framework import Duration, QuorumConfig, ReadingConfig

Count = Annotated[int, Meta(ge=1)]


class MultiPaxosConfig(ReadingConfig):
    """Quorums, timing, batches and checkpoints. ValueError on a combination that could never keep a leader."""

    quorums: QuorumConfig = QuorumConfig()
    thrifty: bool = False
    """Whether values are sent to a smallest quorum of phase 2 alone, as long as that answers. The others learn of
    them by heartbeats."""
    election_timeout_min: Duration = Duration("150ms")
    """A follower that hears from no leader for this long at the least begins a ballot; for this long after it heard
    from a leader it promises nothing to others, which is the leader's lease."""
    election_timeout_max: Duration = Duration("300ms")
    """... and for this long at the most, drawn anew each time. A leader that no quorum answers so long steps down."""
    heartbeat_interval: Duration = Duration("50ms")
    """How often a leader says that it is there."""
    window: Count = 8192
    """Slots in flight: no more than these are proposed beyond those known to be chosen. As many requests may wait for slots;
    further ones are refused."""
    max_accept_slots: Count = 1024
    """Slots in one Accept or Promise, at the most."""
    max_accept_bytes: Count = 1 << 20
    """Bytes of commands in one Accept or Promise, at the most; one command always fits."""
    checkpoint_every: Annotated[int, Meta(ge=0)] = 50_000
    """Slots from one checkpoint to the next; 0: none is ever taken, and the log grows for ever."""
    checkpoint_trailing: Annotated[int, Meta(ge=0)] = 5_000
    """Slots below a checkpoint that are kept for followers that are a little behind."""
    checkpoint_part: Count = 256 << 10
    """Bytes of a checkpoint in one Part, at the most."""

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

    @property
    def others_turn(self) -> int:
        """How long a candidate that cannot win leaves the field to the others, in nanoseconds.

        Each of them begins a ballot within `election_timeout_max`, and has as long again to win it.
        """
        return 2 * self.election_timeout_max
