"""Settings of ABD."""

from __future__ import annotations

from typing import Literal

from framework import Config, Duration, QuorumConfig


class AbdConfig(Config):
    """Quorums, write-back and retries. Raises ValueError on a retry time that would repeat requests without end."""

    quorums: QuorumConfig = QuorumConfig()
    """Quorums of phase 1 (query) and phase 2 (propagation); each of one kind must meet each of the other."""
    write_back: Literal["always", "when_needed"] = "always"
    """`always`: a read stores the value that it found at a quorum, as in the paper. `when_needed`: it skips this if the
    answers show that a quorum already holds the value."""
    retry: Duration = Duration("100ms")
    """Time that a client waits for a quorum before it repeats the request to the replicas that have not answered."""

    def __post_init__(self) -> None:
        if self.retry <= 0:
            raise ValueError(f"retry={self.retry} retries without end: give more than the round trip to a quorum takes")
