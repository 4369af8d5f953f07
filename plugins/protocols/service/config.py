"""Settings of the service."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Annotated

from msgspec import Meta

from framework import BalancerChoice, Config, ConfigError, Duration, Exponential, Latency, NodeId, ServerTable

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
    """Time after which a dispatcher gives up a server that has not answered, sets it aside, and asks another one,
    once."""
    set_aside_time: Duration = Duration("1s")
    """Time after which a server that was set aside may be chosen again, unless a message of it comes first."""

    client_retry: Duration = Duration("300ms")
    """Time after which a client without an answer asks again, another dispatcher if there is one. 0: never."""

    def __post_init__(self) -> None:
        for name in ("answer_timeout", "set_aside_time"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} leaves no time for an answer: give more than 0")

    def validate_nodes(self, key: str, nodes: tuple[NodeId, ...]) -> None:
        super().validate_nodes(key, nodes)
        if self.balancer is None:
            return
        try:
            self.make_table(nodes[self.dispatchers :]).choose("k1", 0, Random(0))
        except ValueError as error:
            raise ConfigError(f"balancer={self.balancer.name}", str(error), "Change it, or the servers.") from error

    def make_table(self, servers: Sequence[NodeId]) -> ServerTable:
        """Returns the table of a dispatcher that knows nothing yet but the servers. Raises ValueError if the balancer
        cannot have these."""
        assert self.balancer is not None, "a run that lacks one is refused"
        table = ServerTable(self.balancer.make())
        for number, server in enumerate(servers):
            table.add(server, self.speed_of(number) if self.weighted else 1.0)
        return table

    def speed_of(self, number: int) -> float:
        """Returns the speed of the server with this number, counted from 0."""
        return self.speeds[number % len(self.speeds)] if self.speeds else 1.0
