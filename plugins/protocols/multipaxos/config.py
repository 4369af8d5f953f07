"""Settings of Multi-Paxos."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from framework import Duration, QuorumConfig, ReadingConfig

Count = Annotated[int, Meta(ge=1)]


class MultiPaxosConfig(ReadingConfig):
    """Quorums, timing, batches and checkpoints. Raises ValueError on a combination that could never keep a leader."""

    quorums: QuorumConfig = QuorumConfig()
    thrifty: bool = False
    """Whether to send values only to a smallest phase 2 quorum, as long as it answers. The other nodes learn of the
    values through heartbeats."""
    election_timeout_min: Duration = Duration("150ms")
    """Minimum time without a leader before a follower begins a ballot. Also the leader's lease: for this long after
    hearing from a leader, a node makes no promise to others."""
    election_timeout_max: Duration = Duration("300ms")
    """Maximum time without a leader before a follower begins a ballot; the time-out is drawn anew each time. A leader
    steps down if no quorum answers for this long."""
    heartbeat_interval: Duration = Duration("50ms")
    """Interval between the heartbeats of a leader."""
    window: Count = 8192
    """Maximum number of slots proposed beyond those known to be chosen. As many requests may wait for slots; further
    requests are refused."""
    max_accept_slots: Count = 1024
    """Maximum number of slots in one Accept or Promise."""
    max_accept_bytes: Count = 1 << 20
    """Maximum bytes of commands in one Accept or Promise; one command always fits."""
    checkpoint_every: Annotated[int, Meta(ge=0)] = 50_000
    """Slots from one checkpoint to the next; 0: no checkpoints, and the log grows for ever."""
    checkpoint_trailing: Annotated[int, Meta(ge=0)] = 5_000
    """Slots kept below a checkpoint for followers that are slightly behind."""
    checkpoint_part: Count = 256 << 10
    """Maximum bytes of a checkpoint in one Part."""

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
        """Returns how long a candidate that cannot win yields to the others, in nanoseconds.

        Each of the others begins a ballot within `election_timeout_max`, and has the same time again to win it.
        """
        return 2 * self.election_timeout_max
