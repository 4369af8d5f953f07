"""Settings of SWIM."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from framework import DetectorConfig, Duration


class SwimConfig(DetectorConfig):
    """Periods, helpers and dissemination. Raises ValueError for a period that is too short for a probe."""

    period: Duration = Duration("200ms")
    """The protocol period T': a member probes one other in each."""
    ping_timeout: Duration = Duration("50ms")
    """Time that a member waits for an Ack before it asks others to ping. The rest of the period is for theirs."""
    helpers: Annotated[int, Meta(ge=0)] = 3
    """Number k of the members that are asked to ping one that has not answered; 0: none."""
    suspicion: Duration = Duration("1s")
    """Time that a suspected member has to refute before it is confirmed faulty; 0: a failed probe confirms at once."""
    transmissions: Annotated[float, Meta(gt=0)] = 3.0
    """The factor lambda: an update is piggybacked lambda log(n) times by each of n members, rounded up."""
    piggyback: Annotated[int, Meta(ge=1)] = 6
    """The maximum number of updates in a message."""
    reconnect: Duration = Duration("400ms")
    """Time after which a member pings one that it takes for faulty, in case it has returned."""
    staggered: bool = True
    """Whether members begin their first period at random times; else all at once when they start."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("period", "ping_timeout", "reconnect")
        if self.ping_timeout >= self.period:
            raise ValueError(f"ping_timeout={self.ping_timeout} must be shorter than period={self.period}")
