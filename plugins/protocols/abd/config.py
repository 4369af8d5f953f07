"""What a user may set about the registers."""

from __future__ import annotations

from typing import Literal

from framework import Config, Duration, QuorumConfig


class AbdConfig(Config):
    """How clients ask, and how many must answer. ValueError on a time that would ask without end."""

    quorums: QuorumConfig = QuorumConfig()
    """Phase 1, the query, and phase 2, the propagation: each quorum of the one shares a replica with each of the other."""
    write_back: Literal["always", "when_needed"] = "always"
    """What a read does with the value that it found: the paper's stores it at a quorum, always; `when_needed` leaves
    that out if those who answered show that a quorum holds it already."""
    retry: Duration = Duration("100ms")
    """How long a client waits for a quorum before it asks again those who have not answered."""

    def __post_init__(self) -> None:
        if self.retry <= 0:
            raise ValueError(f"retry={self.retry} asks without end: give more than the round trip to a quorum takes")
