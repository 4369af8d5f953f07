"""Settings of the service."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from framework import BalancerChoice, Config, Duration, Exponential, Latency

Speed = Annotated[float, Meta(gt=0, le=1_000)]


class ServiceConfig(Config):
    """Dispatchers, servers and timing. Raises ValueError for durations that leave no time for an answer."""

    balancer: BalancerChoice | None = None
    """The balancer of each dispatcher: the run's."""
    dispatchers: Annotated[int, Meta(ge=1)] = 1
    """Number of nodes that dispatch requests; all others serve."""
    service_time: Latency = Exponential(mean=Duration("10ms"))
    """The time that a server of speed 1 takes for a request."""
    speeds: tuple[Speed, ...] = ()
    """The speeds of the servers, in turn: [1, 2] makes every second one twice as fast. Empty: all have speed 1."""
    weighted: bool = True
    """Whether dispatchers know the speeds, as the weights of the servers."""
    queue_limit: Annotated[int, Meta(ge=0)] = 0
    """Requests that a server has at most, waiting and in service: it rejects others. 0: no limit."""
    report_interval: Duration = Duration(0)
    """Time between the load reports of a server. 0: it reports only with its answers."""
    answer_timeout: Duration = Duration("200ms")
    """Time after which a dispatcher gives up a server that has not answered, sets it aside, and asks another one, once."""
    set_aside_time: Duration = Duration("1s")
    """Time after which a server that was set aside may be chosen again, unless a message of it comes first."""

    client_retry: Duration = Duration("300ms")
    """Time after which a client without an answer asks again, another dispatcher if there is one. 0: never."""

    def __post_init__(self) -> None:
        for name in ("answer_timeout", "set_aside_time"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} leaves no time for an answer: give more than 0")

    def speed_of(self, number: int) -> float:
        """Returns the speed of the server with this number, counted from 0."""
        return self.speeds[number % len(self.speeds)] if self.speeds else 1.0
