"""Settings of Redlock."""

from __future__ import annotations

from framework import MILLISECOND, Config, Duration


class RedlockConfig(Config):
    """Lease, time-outs, and what a server keeps through a crash. Raises ValueError for a lease without validity."""

    lease: Duration = Duration("1s")
    """Time to live of a key: a server forgets it this long after it was set, by its wall clock."""
    server_timeout: Duration = Duration("50ms")
    """Time that a client waits for the answers of servers. Short against the lease: it is taken off the validity."""
    retry_delay: Duration = Duration("50ms")
    """Longest time from a failed attempt to the next one. It is drawn at random, so that rivals get out of step."""
    fsync: bool = True
    """Whether a key is durable before its server answers. false, the default of Redis: a crash loses all keys."""
    restart_delay: Duration = Duration("0")
    """Time after a restart for which a server takes no part. The remedy for fsync=false: more than the lease."""

    @property
    def drift(self) -> int:
        """Allowance for clocks that run at different rates, taken off the validity: 1% of the lease, and 2 ms."""
        return int(self.lease) // 100 + 2 * MILLISECOND

    def __post_init__(self) -> None:
        if self.lease <= self.server_timeout + self.drift:
            raise ValueError(
                f"lease={self.lease} leaves no validity after server_timeout={self.server_timeout} and the allowance "
                "for drift (1% of the lease, and 2ms): make the lease longer"
            )
        for name in ("server_timeout", "retry_delay"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} asks without end: give more than 0")
