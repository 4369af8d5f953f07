"""The directed checks of balancers catch balancers that are broken on purpose."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import msgspec
import pytest

from framework import Balancer, LoadReport, NodeId, ServerTable
from framework.core.time import Duration
from framework.registry.registry import load
from plugins.balancers.by_key import BoundedLoad, ConsistentHash
from plugins.balancers.join_idle_queue import JoinIdleQueue
from plugins.balancers.least_loaded import LeastLoaded
from plugins.balancers.round_robin import RoundRobin

REGISTRY = load()


class ForgetsWeights(RoundRobin):
    """All servers have the same turns."""

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        table.weights = dict.fromkeys(table.weights, 1.0)
        return super().choose(key, servers, table, rng)


class CountsServersTwice(JoinIdleQueue):
    """A server that reports itself idle twice is taken for two."""

    def on_idle(self, server: NodeId) -> None:
        self.idle.append(server)


class TakesOldForFresh(LeastLoaded):
    """Reports count however old they are."""

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        self.config = msgspec.structs.replace(self.config, max_age=Duration(0))
        return super().choose(key, servers, table, rng)


class ForgetsTheBound(BoundedLoad):
    """All requests with a key go to one server."""

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        return ConsistentHash.choose(self, key, servers, table, rng)


class CountsWithoutThisRequest(BoundedLoad):
    """The bound is that of the requests before this one, and one more."""

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        share = self.config.balance * sum(table.outstanding.values()) / len(servers) + 1
        preferred = (
            server for server in self.preferences(key, table, rng) if table.outstanding[server] < math.ceil(share)
        )
        return next(preferred)


def table_of(kind: type[Balancer], name: str, **fields: object) -> ServerTable:
    config = REGISTRY.get("balancer", name).config(**fields)
    if hasattr(config, "placement"):
        placed = REGISTRY.get("placement", "ring")
        config = msgspec.structs.replace(config, placement=placed.choice(placed.config()))
    return ServerTable(kind(config))


def send(table: ServerTable, now: int = 0, key: str | None = None) -> NodeId:
    server = table.choose(key, now, random.Random(0))
    assert server is not None
    table.sent(server, key)
    return server


def weights_count(kind: type[Balancer]) -> None:
    table = table_of(kind, "round_robin")
    for server, weight in (("a", 5.0), ("b", 1.0), ("c", 1.0)):
        table.add(server, weight)
    assert "".join(send(table) for _ in range(7)) == "aabacaa"


def idle_servers_count_once(kind: type[Balancer]) -> None:
    table = table_of(kind, "join_idle_queue")
    for server in "abcd":
        table.add(server)
    for server in "aab":
        table.idle(server)
    assert "".join(send(table) for _ in range(2)) == "ab"


def old_reports_do_not_count(kind: type[Balancer]) -> None:
    table = table_of(kind, "least_loaded", load="reported", max_age=Duration("10ms"))
    table.add("a")
    table.add("b")
    table.report("a", LoadReport(load=0, received=0, stamp=(1, 1)))
    table.report("b", LoadReport(load=1, received=15_000_000, stamp=(1, 1)))
    table.sent("a")
    table.sent("a")
    assert send(table, now=20_000_000) == "b"


def the_bound_holds(kind: type[Balancer]) -> None:
    table = table_of(kind, "bounded_load", balance=1.0)
    for server in "abcd":
        table.add(server)
    for number in range(1, 13):
        send(table, key="hot")
        assert max(table.outstanding.values()) <= math.ceil(number / 4)


CHECKS: list[tuple[Callable[[type[Balancer]], None], type[Balancer], tuple[type[Balancer], ...]]] = [
    (weights_count, RoundRobin, (ForgetsWeights,)),
    (idle_servers_count_once, JoinIdleQueue, (CountsServersTwice,)),
    (old_reports_do_not_count, LeastLoaded, (TakesOldForFresh,)),
    (the_bound_holds, BoundedLoad, (ForgetsTheBound, CountsWithoutThisRequest)),
]


@pytest.mark.parametrize(("check", "right", "wrong"), CHECKS)
def test_the_check_catches_what_is_broken(
    check: Callable[[type[Balancer]], None], right: type[Balancer], wrong: tuple[type[Balancer], ...]
) -> None:
    check(right)
    for each in wrong:
        with pytest.raises(AssertionError):
            check(each)
