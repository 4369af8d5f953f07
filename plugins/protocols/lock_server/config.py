"""Settings of the lock server."""

from __future__ import annotations

from framework import Config, Duration


class LockServerConfig(Config):
    """Leases and retries. Raises ValueError for durations of 0."""

    lease: Duration = Duration("1s")
    """Time for which a session lives unless it is kept alive, on the server's clock."""
    retry: Duration = Duration("100ms")
    """Time after which a client without an answer sends its request again."""

    def __post_init__(self) -> None:
        if self.lease <= 0:
            raise ValueError("lease=0 ends every session at once: give more than 0")
        if self.retry <= 0:
            raise ValueError("retry=0 leaves no time for an answer: give more than 0")
