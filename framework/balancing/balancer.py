"""Balancers: strategies by which a dispatcher chooses the server of a request.

    table = ServerTable(RoundRobin(BalancerConfig()))
    for server in ("s1", "s2", "s3"):
        table.add(server)
    server = table.choose(None, now, rng)
    table.sent(server)
    table.report(server, LoadReport(load=4, received=now, stamp=(1, 17)))
    table.answered(server)

A dispatcher owns a `ServerTable`: what it knows of the servers, and its balancer, which looks at the table to choose. A
choice depends only on the calls of the table so far and on the random stream.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from framework.core.errors import did_you_mean
from framework.core.message import Config, NodeId, Record
from framework.core.plain_state import copy_plain
from framework.core.plugin_choice import PluginChoice
from framework.core.tracebacks import check_initialized
from framework.core.weight import check_weight

B = TypeVar("B", bound="Balancer")


class BalancerConfig(Config):
    """Base of the config of every balancer."""


class LoadReport(Record):
    """A server's report of its load.

    `load` is the number of its requests, waiting and in service; `received` the time on the dispatcher's clock when the
    report arrived, in nanoseconds. A later report of the same server has a greater `stamp`: (incarnation, number).
    """

    load: int
    received: int
    stamp: tuple[int, int] = (0, 0)


class Balancer(ABC):
    """A strategy of load balancing. A plugin derives from it and implements `choose`; it overrides those of the
    callbacks that it needs.

    Its attributes are plain data, as those of a node are; one whose name starts with `_` is a cache, which a copy of
    the balancer does without. `wants_idle_reports`: a server that has become idle reports to one dispatcher, chosen at
    random.
    """

    plain: ClassVar[bool] = True
    wants_idle_reports: ClassVar[bool] = False

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        """Returns one of `servers`, which is never empty, for a request with this key; None if it has no key.

        `servers` are those of the table that may be chosen, in the order in which they were added. The table has their
        weights, their newest load reports and the requests outstanding at each.
        """

    def on_server_added(self, server: NodeId, weight: float) -> None:
        """Called when a server is added, and when a server that was set aside may be chosen again."""

    def on_server_removed(self, server: NodeId) -> None:
        """Called when a server is removed, and when it is set aside."""

    def on_sent(self, server: NodeId, key: str | None) -> None:
        """Called when a request has been sent to a server."""

    def on_answered(self, server: NodeId) -> None:
        """Called when a request is no longer outstanding: it was answered, refused or given up."""

    def on_report(self, server: NodeId, report: LoadReport) -> None:
        """Called for each load report that is newer than those before it."""

    def on_idle(self, server: NodeId) -> None:
        """Called when a server has reported to this dispatcher that it is idle (see `wants_idle_reports`)."""

    def copy(self: B) -> B:
        """Returns a copy that shares nothing mutable."""
        twin = type(self)(self.config)
        for name, value in self._state().items():
            setattr(twin, name, copy_plain(value, f"{type(self).__qualname__}.{name}"))
        return twin

    def _state(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Balancer) and type(other) is type(self) and other._state() == self._state()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._state().items())})"


@dataclass(slots=True)
class ServerTable:
    """The servers of one dispatcher: what it knows of them, and the balancer that chooses among them.

    `outstanding` counts the dispatcher's own requests at each server that are neither answered nor given up.
    `sent_since` counts those that were sent there since its newest report. Servers that are `set_aside` are not chosen.
    """

    balancer: Balancer
    weights: dict[NodeId, float] = field(default_factory=dict)
    outstanding: dict[NodeId, int] = field(default_factory=dict)
    reports: dict[NodeId, LoadReport] = field(default_factory=dict)
    sent_since: dict[NodeId, int] = field(default_factory=dict)
    set_aside: list[NodeId] = field(default_factory=list)
    now: int = 0
    """The time of the choice under way, on the dispatcher's clock in nanoseconds."""

    def add(self, server: NodeId, weight: float = 1.0) -> None:
        """Adds a server. Raises ValueError if it is there already, or if the weight is not positive."""
        if server in self.weights:
            raise ValueError(f"there is already a server {server}")
        check_weight(f"server {server}", weight)
        self.weights[server] = weight
        self.outstanding[server] = self.sent_since[server] = 0
        self.balancer.on_server_added(server, weight)

    def remove(self, server: NodeId) -> None:
        """Removes a server, with all that is known of it. Raises ValueError if it is not there."""
        if server not in self.weights:
            raise ValueError(f"there is no server {server}. {did_you_mean(server, self.weights)}".strip())
        if server in self.set_aside:
            self.set_aside.remove(server)
        else:
            self.balancer.on_server_removed(server)
        for known in (self.weights, self.outstanding, self.sent_since, self.reports):
            known.pop(server, None)

    @property
    def available(self) -> list[NodeId]:
        """The servers that may be chosen, in the order in which they were added."""
        return [server for server in self.weights if server not in self.set_aside]

    def choose(self, key: str | None, now: int, rng: random.Random, avoiding: Collection[NodeId] = ()) -> NodeId | None:
        """Returns the server for a request, and none of `avoiding` if there are others; None if there are no servers.

        If all servers are set aside, nothing is known against any of them: all may be chosen again.
        """
        self.now = now
        if self.set_aside and len(self.set_aside) == len(self.weights):
            for server in list(self.set_aside):
                self.readmit(server)
        servers = self.available
        if avoiding:
            servers = [server for server in servers if server not in avoiding] or servers
        if not servers:
            return None
        chosen = self.balancer.choose(key, servers, self, rng)
        assert chosen in servers, f"{self.balancer!r} chose {chosen!r}, which is none of {', '.join(servers)}"
        return chosen

    def sent(self, server: NodeId, key: str | None = None) -> None:
        """Records that a request has been sent to a server."""
        self.outstanding[server] += 1
        self.sent_since[server] += 1
        self.balancer.on_sent(server, key)

    def answered(self, server: NodeId) -> None:
        """Records that a request to a server is no longer outstanding; nothing, if the server has been removed
        since."""
        if server not in self.weights:
            return
        assert self.outstanding[server] > 0, f"nothing is outstanding at {server}"
        self.outstanding[server] -= 1
        self.balancer.on_answered(server)

    def report(self, server: NodeId, report: LoadReport) -> None:
        """Records a load report, unless a newer one of that server is there already."""
        known = self.reports.get(server)
        if server not in self.weights or (known is not None and known.stamp >= report.stamp):
            return
        self.reports[server] = report
        self.sent_since[server] = 0
        self.balancer.on_report(server, report)

    def idle(self, server: NodeId) -> None:
        """Records that a server has said that it is idle."""
        if server in self.weights and server not in self.set_aside:
            self.balancer.on_idle(server)

    def put_aside(self, server: NodeId) -> None:
        """Sets a server aside, for it does not answer."""
        if server in self.weights and server not in self.set_aside:
            self.set_aside.append(server)
            self.balancer.on_server_removed(server)

    def readmit(self, server: NodeId) -> None:
        """Lets a server be chosen again that had been set aside."""
        if server in self.set_aside:
            self.set_aside.remove(server)
            self.balancer.on_server_added(server, self.weights[server])


class BalancerChoice(PluginChoice):
    """A balancer chosen by config.

    A protocol whose config has the field `balancer: BalancerChoice | None = None` is given the one that the run chooses
    with `balancer=NAME`. Each of its dispatchers makes its own: `ServerTable(self.config.balancer.make())`. A field
    with a default, `spread: BalancerChoice = BalancerChoice("round_robin")`, is chosen by `KEY.spread=NAME`.
    """

    group: ClassVar[str] = "balancer"

    balancer: Any = None
    """The class."""

    def make(self) -> Balancer:
        """Returns a new balancer, which knows no servers."""
        made: Balancer = self.balancer(self.config)
        check_initialized(made, "config", f"balancer={self.name}")
        return made


def weighted_choice(servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
    """Returns one of `servers` at random, with a probability proportional to its weight."""
    weights = [table.weights[server] for server in servers]
    if len(set(weights)) == 1:
        return servers[int(rng.random() * len(servers))]
    left = rng.random() * sum(weights)
    for server, weight in zip(servers, weights, strict=True):
        left -= weight
        if left < 0:
            return server
    return servers[-1]
