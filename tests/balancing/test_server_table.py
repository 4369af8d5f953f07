"""What a dispatcher knows of its servers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from framework import (
    Balancer,
    BalancerChoice,
    BalancerConfig,
    LoadConfig,
    LoadReport,
    NodeId,
    ServerTable,
    lightest,
    load_of,
)
from framework.core.plain_state import copy_plain
from framework.core.time import Duration


class Listener(Balancer):
    """Chooses the last server, and writes down what it is told."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.heard: list[tuple[Any, ...]] = []

    def choose(self, key: str | None, servers: Sequence[NodeId], table: ServerTable, rng: random.Random) -> NodeId:
        self.heard.append(("choose", key, *servers))
        return servers[-1]

    def on_server_added(self, server: NodeId, weight: float) -> None:
        self.heard.append(("added", server, weight))

    def on_server_removed(self, server: NodeId) -> None:
        self.heard.append(("removed", server))

    def on_sent(self, server: NodeId, key: str | None) -> None:
        self.heard.append(("sent", server, key))

    def on_answered(self, server: NodeId) -> None:
        self.heard.append(("answered", server))

    def on_report(self, server: NodeId, report: LoadReport) -> None:
        self.heard.append(("report", server, report.load))

    def on_idle(self, server: NodeId) -> None:
        self.heard.append(("idle", server))


RNG = random.Random(0)


def table(*servers: NodeId) -> tuple[ServerTable, Listener]:
    balancer = Listener()
    made = ServerTable(balancer)
    for server in servers:
        made.add(server)
    balancer.heard.clear()
    return made, balancer


def test_a_balancer_hears_what_happens_to_its_servers() -> None:
    servers, balancer = table("a")
    servers.add("b", 2.0)
    assert servers.choose("x", 5, RNG) == "b"
    servers.sent("b", "x")
    servers.report("b", LoadReport(3, 6))
    servers.answered("b")
    servers.idle("a")
    servers.remove("b")
    assert balancer.heard == [
        ("added", "b", 2.0), ("choose", "x", "a", "b"), ("sent", "b", "x"), ("report", "b", 3), ("answered", "b"),
        ("idle", "a"), ("removed", "b"),
    ]  # fmt: skip
    assert servers.now == 5 and servers.weights == servers.outstanding | {"a": 1.0} and not servers.reports


def test_a_server_that_is_set_aside_is_not_chosen_until_it_is_readmitted() -> None:
    servers, balancer = table("a", "b")
    servers.put_aside("b")
    servers.put_aside("b")
    servers.idle("b")
    assert servers.available == ["a"] and servers.choose(None, 0, RNG) == "a"
    servers.readmit("b")
    servers.readmit("b")
    assert servers.choose(None, 0, RNG) == "b"
    assert balancer.heard == [("removed", "b"), ("choose", None, "a"), ("added", "b", 1.0), ("choose", None, "a", "b")]
    servers.put_aside("a")
    servers.remove("a")
    assert balancer.heard[-1] == ("removed", "a") and balancer.heard.count(("removed", "a")) == 1
    assert servers.set_aside == []


def test_if_all_are_set_aside_all_may_be_chosen_again() -> None:
    servers, _ = table("a", "b")
    servers.put_aside("a")
    servers.put_aside("b")
    assert servers.choose(None, 0, RNG) == "b" and servers.available == ["a", "b"]
    assert ServerTable(Listener()).choose(None, 0, RNG) is None


def test_a_second_attempt_goes_elsewhere_if_it_can() -> None:
    servers, _ = table("a", "b")
    assert servers.choose(None, 0, RNG, avoiding=("b",)) == "a"
    servers.put_aside("a")
    assert servers.choose(None, 0, RNG, avoiding=("b",)) == "b"


def test_an_older_report_does_not_replace_a_newer_one() -> None:
    servers, balancer = table("a")
    for load, stamp in ((5, (1, 2)), (7, (1, 1)), (8, (1, 2)), (0, (2, 1)), (9, (1, 3))):
        servers.report("a", LoadReport(load, 0, stamp))
    servers.report("stranger", LoadReport(1, 0, (9, 9)))
    assert balancer.heard == [("report", "a", 5), ("report", "a", 0)]
    assert servers.reports == {"a": LoadReport(0, 0, (2, 1))}


def test_an_answer_of_a_server_that_has_been_removed_counts_for_nothing() -> None:
    servers, balancer = table("s1", "s2")
    servers.sent("s1")
    servers.remove("s1")
    heard = list(balancer.heard)
    servers.answered("s1")
    servers.report("s1", LoadReport(3, 0))
    servers.idle("s1")
    assert balancer.heard == heard
    assert (servers.outstanding, servers.reports) == ({"s2": 0}, {})


def test_mistakes_are_refused() -> None:
    servers, _ = table("a")
    with pytest.raises(ValueError, match="there is already a server a"):
        servers.add("a")
    with pytest.raises(ValueError, match="server b: the weight must be above 0, not 0"):
        servers.add("b", 0)
    with pytest.raises(ValueError, match="there is no server c"):
        servers.remove("c")
    with pytest.raises(AssertionError, match="nothing is outstanding at a"):
        servers.answered("a")


def test_the_load_of_a_server_as_counted_as_reported_and_as_corrected() -> None:
    servers, _ = table("a", "b")
    for _ in range(3):
        servers.sent("a")
    servers.report("a", LoadReport(10, received=100, stamp=(1, 1)))
    servers.sent("a")
    servers.answered("a")
    counted = {load: load_of("a", servers, LoadConfig(load=load)) for load in ("outstanding", "reported", "corrected")}
    assert counted == {"outstanding": 3, "reported": 10, "corrected": 11}
    assert load_of("b", servers, LoadConfig(load="reported")) == 0, "no report: what is outstanding"


def test_a_report_that_is_too_old_does_not_count() -> None:
    servers, _ = table("a")
    servers.report("a", LoadReport(10, received=100))
    config = LoadConfig(load="reported", max_age=Duration(50))
    for now, load in ((100, 10), (150, 10), (151, 0)):
        servers.now = now
        assert load_of("a", servers, config) == load


def test_the_lightest_server_would_be_the_first_to_finish_one_more_request() -> None:
    servers, _ = table("a", "b")
    servers.add("c", 4.0)
    for server, count in (("a", 1), ("b", 1), ("c", 5)):
        for _ in range(count):
            servers.sent(server)
    rng = random.Random(1)
    assert lightest(("a", "b", "c"), servers, LoadConfig(), rng) == "c"  # 6/4 against 2/1
    assert {lightest(("a", "b"), servers, LoadConfig(), rng) for _ in range(50)} == {"a", "b"}


def test_a_copy_of_a_table_shares_nothing() -> None:
    servers, balancer = table("a")
    twin = copy_plain(servers, "table")
    assert twin == servers and twin.balancer == balancer
    twin.sent("a")
    assert twin.outstanding == {"a": 1} and servers.outstanding == {"a": 0}
    assert twin.balancer != balancer and balancer.heard == []


def test_a_choice_makes_a_balancer_of_its_own_each_time() -> None:
    choice = BalancerChoice("listener", BalancerConfig(), Listener)
    first, second = choice.make(), choice.make()
    assert first is not second and isinstance(first, Listener) and first.config == BalancerConfig()
