"""Each balancer by hand-checked sequences, and by how it spreads requests."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest

from framework import Balancer, ConfigError, LoadReport, NodeId, ServerTable
from framework.config.compose import compose
from framework.core.plain_state import copy_plain
from framework.registry.registry import load

REGISTRY = load()
NAMES = sorted(REGISTRY.registered.balancers)


def balancer(name: str, placement: str = "ring", **fields: Any) -> Balancer:
    """A balancer with these settings, over that placement if it has one."""
    spec = REGISTRY.get("balancer", name)
    config = spec.config(**fields)
    if hasattr(config, "placement"):
        placed = REGISTRY.get("placement", placement)
        config = msgspec.structs.replace(config, placement=placed.choice(placed.config()))
    made: Balancer = spec.choice(config).make()
    return made


class Dispatch:
    """A dispatcher without a network: requests are answered when the test says so."""

    def __init__(self, name: str, *, weights: dict[NodeId, float] | None = None, **settings: Any) -> None:
        self.table = ServerTable(balancer(name, **settings))
        self.rng = random.Random(0)
        for server, weight in (weights or dict.fromkeys("abcd", 1.0)).items():
            self.table.add(server, weight)

    def send(self, count: int = 1, key: str | None = None) -> str:
        """Sends requests, which stay outstanding; the servers that were chosen."""
        return "".join(self._send(key) for _ in range(count))

    def pass_by(self, count: int, keys: int = 0) -> Counter[NodeId]:
        """Sends requests that are answered at once; how many each server had."""
        found: Counter[NodeId] = Counter()
        for number in range(count):
            server = self._send(f"k{number % keys}" if keys else None)
            self.table.answered(server)
            found[server] += 1
        return found

    def _send(self, key: str | None) -> NodeId:
        server = self.table.choose(key, 0, self.rng)
        assert server is not None
        self.table.sent(server, key)
        return server


# What all have in common.


@pytest.mark.parametrize("name", NAMES)
def test_every_balancer_serves_every_server_and_is_plain_data(name: str) -> None:
    dispatch = Dispatch(name, weights={"a": 1.0, "b": 2.0, "c": 1.0})
    assert set(dispatch.send(300, key=None)) == {"a", "b", "c"}
    twin = copy_plain(dispatch.table, "table")
    assert twin == dispatch.table
    state = dispatch.rng.getstate()
    expected = dispatch.send(20, key="x")
    dispatch.table = twin
    dispatch.rng.setstate(state)
    assert dispatch.send(20, key="x") == expected, "the copy goes on as the original does"


@pytest.mark.parametrize("name", NAMES)
def test_no_balancer_chooses_a_server_that_is_set_aside_or_gone(name: str) -> None:
    dispatch = Dispatch(name)
    for server in "abcd":
        dispatch.table.idle(server)
    dispatch.table.put_aside("b")
    dispatch.table.remove("d")
    assert set(dispatch.send(60, key="x") + dispatch.send(60)) <= {"a", "c"}
    dispatch.table.readmit("b")
    dispatch.table.add("e")
    assert set(dispatch.send(400)) == {"a", "b", "c", "e"}


# random


def test_random_choices_are_in_proportion_to_the_weights() -> None:
    found = Dispatch("random", weights={"a": 1.0, "b": 3.0}).pass_by(4_000)
    assert abs(found["b"] - 3_000) < 4 * np.sqrt(4_000 * 0.75 * 0.25)


# round_robin


def test_servers_take_turns() -> None:
    assert Dispatch("round_robin").send(10) == "abcdabcdab"


def test_the_turns_of_a_heavy_server_are_spread_over_the_round() -> None:
    # The example of nginx's commit 52327e0627f4, by hand: credits 5 1 1 -> a pays 7 -> -2 1 1 -> 3 2 2 -> a -> -4 2 2 -> …
    assert Dispatch("round_robin", weights={"a": 5.0, "b": 1.0, "c": 1.0}).send(14) == "aabacaa" * 2


def test_fractions_of_weights_count() -> None:
    assert Dispatch("round_robin", weights={"a": 0.5, "b": 1.5}).pass_by(400) == {"a": 100, "b": 300}


# least_loaded


def test_the_shortest_queue_is_joined() -> None:
    dispatch = Dispatch("least_loaded")
    assert sorted(dispatch.send(4)) == list("abcd")
    dispatch.table.answered("c")
    assert dispatch.send() == "c"


def test_a_fast_server_has_a_longer_queue() -> None:
    # (load + 1) / weight: a 1, b 1/3 -> b; b 2/3 -> b; b 3/3 ties with a
    dispatch = Dispatch("least_loaded", weights={"a": 1.0, "b": 3.0})
    assert dispatch.send(2) == "bb"
    assert Counter(dispatch.send(38)) == {"a": 10, "b": 28}


def test_old_reports_send_the_herd_to_one_server_and_corrections_do_not() -> None:
    for reading, expected in (("reported", {"a": 9}), ("corrected", {"a": 4, "b": 3, "c": 2})):
        dispatch = Dispatch("least_loaded", load=reading, weights=dict.fromkeys("abc", 1.0))
        for server, reported in (("a", 0), ("b", 1), ("c", 2)):
            dispatch.table.report(server, LoadReport(reported, 0, (1, 1)))
        assert Counter(dispatch.send(9)) == expected


# power_of_d


def test_with_as_many_choices_as_servers_the_shortest_queue_is_joined() -> None:
    dispatch = Dispatch("power_of_d", d=9)
    assert sorted(dispatch.send(4)) == list("abcd")
    dispatch.table.answered("b")
    assert dispatch.send() == "b"


def test_one_choice_is_a_random_one() -> None:
    found = Dispatch("power_of_d", d=1).pass_by(4_000)
    assert all(abs(found[server] - 1_000) < 4 * np.sqrt(750) for server in "abcd")


def test_the_longest_of_two_different_servers_is_never_chosen() -> None:
    dispatch = Dispatch("power_of_d")
    for _ in range(5):
        dispatch.table.sent("a")
    assert "a" not in dispatch.send(10)


@pytest.mark.parametrize(("d", "most"), [(1, range(4, 12)), (2, range(2, 5)), (3, range(2, 4))])
def test_the_fullest_of_many_bins(d: int, most: range) -> None:
    dispatch = Dispatch("power_of_d", d=d, weights={f"s{number}": 1.0 for number in range(400)})
    for _ in range(400):
        dispatch.send()
    assert max(dispatch.table.outstanding.values()) in most


# join_idle_queue


def test_idle_servers_are_used_in_the_order_of_their_reports_and_each_report_once() -> None:
    dispatch = Dispatch("join_idle_queue")
    for server in "cacb":
        dispatch.table.idle(server)
    assert dispatch.send(3) == "cab"
    assert set(dispatch.send(60)) == set("abcd"), "nobody is idle: anyone"
    dispatch.table.idle("d")
    assert dispatch.send() == "d"


def test_a_server_that_is_avoided_stays_in_the_queue() -> None:
    dispatch = Dispatch("join_idle_queue")
    dispatch.table.idle("a")
    dispatch.table.idle("b")
    assert dispatch.table.choose(None, 0, dispatch.rng, avoiding=("a",)) == "b"
    assert dispatch.send() == "a"


# consistent_hash


@pytest.mark.parametrize("placement", ["ring", "rendezvous", "maglev", "jump", "multi_probe"])
def test_a_key_stays_with_its_server(placement: str) -> None:
    dispatch = Dispatch("consistent_hash", placement=placement)
    homes = {f"k{number}": dispatch.send(key=f"k{number}") for number in range(200)}
    assert set(homes.values()) == set("abcd")
    dispatch.table.put_aside("b")
    moved = {key: dispatch.send(key=key) for key in homes}
    assert all(moved[key] == home for key, home in homes.items() if home != "b")
    assert {moved[key] for key, home in homes.items() if home == "b"} <= set("acd")
    dispatch.table.readmit("b")
    assert {key: dispatch.send(key=key) for key in homes} == homes


def test_requests_without_a_key_go_anywhere() -> None:
    assert set(Dispatch("consistent_hash").send(100)) == set("abcd")


def test_shares_of_keys_are_in_proportion_to_the_weights() -> None:
    dispatch = Dispatch("consistent_hash", placement="rendezvous", weights={"a": 1.0, "b": 3.0})
    found = dispatch.pass_by(2_000, keys=2_000)
    assert abs(found["b"] - 1_500) < 4 * np.sqrt(2_000 * 0.75 * 0.25)


# bounded_load


def test_a_hot_key_fills_one_server_after_the_other() -> None:
    dispatch = Dispatch("bounded_load", balance=1.5)
    preferred = list(dict.fromkeys(dispatch.send(40, key="hot")))
    # Of m requests a server has at most ⌈1.5·m/4⌉, 15 of 40: two in the key's preference are full, and a third has the rest.
    assert [dispatch.table.outstanding[server] for server in preferred] == [15, 15, 10]


@pytest.mark.parametrize("balance", [1, 1.25, 2])
def test_the_bound_holds_for_every_request(balance: float) -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 1.0, "d": 0.5}
    dispatch = Dispatch("bounded_load", balance=balance, weights=weights)
    rng = random.Random(5)
    for number in range(400):
        server = dispatch.send(key=f"k{int(rng.expovariate(0.5))}")
        total = sum(dispatch.table.outstanding.values())
        assert dispatch.table.outstanding[server] <= np.ceil(balance * total * weights[server] / 4.5)
        busy = [each for each in weights if dispatch.table.outstanding[each]]
        if number % 2:
            dispatch.table.answered(rng.choice(busy))


def test_without_pressure_a_key_stays_with_its_server() -> None:
    dispatch = Dispatch("bounded_load")
    keys = [f"k{number}" for number in range(50)]
    hashed = Dispatch("consistent_hash")
    for key in keys * 2:
        assert dispatch.send(key=key) == hashed.send(key=key)
        for one in (dispatch, hashed):
            for server, count in one.table.outstanding.items():
                if count:
                    one.table.answered(server)


# Config.


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (("power_of_d", "d=0"), "balancer.d=0: must be at least 1, not 0. The default is 2."),
        (("power_of_d", "load=fresh"), "balancer.load=fresh: unknown value 'fresh'"),
        (("bounded_load", "balance=0.5"), "balancer.balance=0.5: must be at least 1.0, not 0.5"),
        (("consistent_hash", "placement=bounded_load"), "balancer: placement bounded_load must know all keys beforehand"),
        (("consistent_hash", "placement=rng"), "balancer.placement=rng: there is no placement 'rng'. Did you mean 'ring'?"),
        (("round_robin", "d=2"), "balancer.d=2: there is no such key"),
        (("powerofd",), "there is no balancer 'powerofd'. Did you mean 'power_of_d'?"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_in_one_line(settings: tuple[str, ...], complaint: str) -> None:
    words = ["protocol=service", "workload=requests", "engine=sim", "nodes=3", f"balancer={settings[0]}"]
    with pytest.raises(ConfigError) as raised:
        compose([*words, *(f"balancer.{setting}" for setting in settings[1:])], registry=REGISTRY)
    assert complaint in str(raised.value) and "\n" not in str(raised.value)
