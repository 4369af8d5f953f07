"""Runs of the cache: with every placement, under chaos, broken on purpose; its settings, its workload and its checker."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from framework import MILLISECOND, SECOND, ConfigError, FinishedRun, Node, Ok, Operation, Step, Verdict, Violation
from framework.checking.history.calls import Call
from framework.config.compose import compose
from framework.registry.registry import load
from plugins.checkers.cache import check_cache
from plugins.protocols.cache.invariants import INVARIANTS
from plugins.protocols.cache.messages import Handoff, Put, View
from plugins.workloads.cache import CacheWorkload, CacheWorkloadConfig
from tests.composing import composed
from tests.plugins.protocols.cache.clusters import (
    KEYS,
    CountsEpochsAnew,
    ForgetsTheBound,
    KeepsItsPast,
    KeepsWhatItLost,
    PrefersWhatWasHandedOff,
    ServesEveryEpoch,
    change,
    cluster,
    put,
)
from tests.sweep.outcomes import outcomes

PLACEMENTS = sorted(load().names("placement"))


@pytest.mark.long
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_it_lives_through_chaos_with_every_placement(placement: str) -> None:
    found = outcomes(["experiment=cache_chaos", f"placement={placement}", "trace=history", "duration=2s"], range(2))
    assert [one.reason for one in found if one.verdict != "valid"] == []


class Watched:
    """Observes each node after each of its batches; a second passes from one to the next."""

    def __init__(self, broken: type[Node], *settings: str) -> None:
        self.cluster = cluster(*settings, broken=broken)
        self.invariants = [invariant() for invariant in INVARIANTS]
        self.seconds = 0
        for name in (*self.cluster.servers, "c1"):
            self.look(name, started=True)
        self.cluster.on_commit = self.look

    def look(self, name: str, *, started: bool = False) -> None:
        self.seconds += 1
        step = Step(name)
        step.time, step.started = self.seconds * SECOND, started
        for invariant in self.invariants:
            if isinstance(self.cluster.node(name), invariant.watches):
                invariant.observe(step, self.cluster.node(name))


@pytest.mark.parametrize(
    ("broken", "settings", "what"),
    [
        (KeepsWhatItLost, ["protocol.late=[n4]"], "own entries broken at n[23]: holds k.* which it belongs to n4"),
        (ForgetsTheBound, ["protocol.capacity=3"], "capacity broken at n.: holds 4 entries, and has room for 3"),
    ],
)
def test_invariants_find_broken_caches(broken: type[Node], settings: list[str], what: str) -> None:
    watched = Watched(broken, *settings)
    with pytest.raises(Violation, match=what):
        put(watched.cluster, *KEYS)
        change(watched.cluster, "join", "n4")
        watched.cluster.fire("n4", "beat")
        watched.cluster.stabilize()


def test_an_invariant_finds_epochs_that_are_counted_anew() -> None:
    watched = Watched(CountsEpochsAnew)
    change(watched.cluster, "leave", "n4")
    watched.cluster.on_commit = None
    watched.cluster.crash("n1")
    watched.cluster.restart("n1")
    with pytest.raises(Violation, match="epoch order broken at n1: went back from epoch 2 to 1"):
        watched.look("n1", started=True)


def test_an_invariant_finds_two_lists_of_one_epoch() -> None:
    watched = Watched(CountsEpochsAnew)
    made = watched.cluster
    made.deliver(made.send("n1", "n2", View(2, (("n2", 1),))))
    with pytest.raises(
        Violation, match="one list an epoch broken at n2, n3: epoch 2 has the caches n2 at n2, and n3 at"
    ):
        made.deliver(made.send("n1", "n3", View(2, (("n3", 1),))))


def test_a_cache_that_keeps_its_past_is_found_by_its_stale_entries() -> None:
    made = cluster(broken=KeepsItsPast)
    put(made, *KEYS)
    made.deliver(made.send("n1", "n2", View(5, (("n2", 5), ("n3", 1), ("n4", 1)))))
    assert made.node("n2").entries, "the right one is empty"
    right = cluster()
    put(right, *KEYS)
    right.deliver(right.send("n1", "n2", View(5, (("n2", 5), ("n3", 1), ("n4", 1)))))
    assert right.node("n2").entries == {}


def test_a_cache_that_prefers_what_was_handed_off_is_found() -> None:
    made = cluster(broken=PrefersWhatWasHandedOff)
    key = next(key for key in KEYS if made.node("n2").owner(key) == "n2")
    made.deliver(made.send("c9", "n2", Put(1, key, "newer", 1)))
    made.deliver(made.send("n3", "n2", Handoff(1, ((key, "older"),))))
    assert made.node("n2").entries[key] == "older"
    right = cluster()
    right.deliver(right.send("c9", "n2", Put(1, key, "newer", 1)))
    right.deliver(right.send("n3", "n2", Handoff(1, ((key, "older"),))))
    assert right.node("n2").entries[key] == "newer"


def test_a_cache_that_serves_every_epoch_is_found() -> None:
    watched = Watched(ServesEveryEpoch)
    made = watched.cluster
    key = next(key for key in KEYS if made.node("n2").owner(key) == "n3")
    with pytest.raises(Violation, match="own entries broken at n2"):
        made.deliver(made.send("c9", "n2", Put(1, key, "v", 0)))


# Settings.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["placement=none"], "needs a placement, and none is chosen"),
        (["placement=ringg"], "there is no placement 'ringg'. Did you mean 'ring'"),
        (["placement=jump", "protocol.weights.n2=2"], "knows no weights"),
        (["protocol.weights.n9=2"], "there is no cache n9"),
        (["protocol.late=[n2,n3]"], "leaves no cache to begin with"),
        (["protocol.dead_after=10ms"], "would declare caches dead that send heartbeats every 50ms"),
        (["placement=maglev", "placement.table_size=10"], "is not a prime"),
        (["placement.points=0"], "at least 1"),
        (["workload.changes=[{at: 1s, do: leave, cache: n33}]"], "workload.changes.0.cache=n33: there is no such node"),
        (["placement=bounded_load", "placement.over=nothing"], "there is no placement 'nothing'"),
        (
            ["placement=bounded_load", "placement.over=bounded_load"],
            "over=bounded_load: it places a known set of ids itself",
        ),
    ],
)
def test_what_cannot_be_run(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        composed("protocol=cache", "placement=ring", "workload=cache", "nodes=3", "engine=sim", *words)
    assert message in str(caught.value), str(caught.value)


def test_a_placement_chooses_another_one_by_name() -> None:
    composed = compose(
        ["protocol=cache", "placement=bounded_load", "placement.over=maglev", "placement.over_config.table_size=1009",
         "workload=cache", "engine=sim"]
    )  # fmt: skip
    over = composed.experiment.protocol_config.placement.config.over
    assert (over.name, over.config.table_size) == ("maglev", 1009)
    assert composed.config["placement"]["over_config"]["table_size"] == 1009


# The workload.


def test_a_client_puts_what_it_did_not_find() -> None:
    workload, rng = CacheWorkload(CacheWorkloadConfig(put=0.0)), random.Random(1)
    function, key, _ = workload.next("c2", 0, rng)
    assert function == "get"
    workload.completed("c2", Operation(1, "get", key), Ok((None, "n2")))
    assert workload.next("c2", 1, rng) == ("put", key, "c2.1")
    workload.completed("c2", Operation(2, "get", key), Ok(("c2.1", "n2")))
    assert workload.next("c2", 2, rng)[0] == "get"


def test_changes_come_when_they_are_due_and_from_one_client() -> None:
    config = CacheWorkloadConfig(churn=100 * MILLISECOND, least=1)  # type: ignore[arg-type]
    workload, rng = CacheWorkload(config), random.Random(2)
    workload.roles = {"cache": ("n2", "n3")}
    asked = [workload.next("c1", at * 50 * MILLISECOND, rng)[:2] for at in range(60)]
    changes = [each for each in asked if each[0] in ("join", "leave")]
    assert 20 <= len(changes) <= 30
    assert {function for function, _ in changes} == {"join", "leave"}
    assert all(before != after for before, after in pairwise(changes))
    assert workload.next("c2", 10 * SECOND, rng)[0] in ("get", "put")


# The checker.


def call(function: str, key: str | None, argument: Any, result: Any, at: int, ended: int, outcome: str = "ok") -> Call:
    return Call(at, "c1", 1, function, key, argument, result, outcome, at, ended)  # type: ignore[arg-type]


def judged(*calls: Call) -> Any:
    return check_cache(FinishedRun(history=list(calls)), None)


def test_hits_on_what_was_put() -> None:
    found = judged(
        call("put", "x", "v1", "n2", 0, 1), call("get", "x", None, ("v1", "n2"), 2, 3),
        call("get", "x", None, (None, "n3"), SECOND, SECOND + 1),
        call("report", None, None, ((2, 0.5, "n4 joins", 1, 3, 0, 0.001),), 2 * SECOND, 2 * SECOND + 1),
    )  # fmt: skip
    assert found.verdict is Verdict.VALID
    assert found.measures["hit_rate"] == 0.5 and found.measures["hit_rate_by_second"] == {"0": 1.0, "1": 0.0}
    assert found.measures["answers_by_cache"] == {"n2": 2, "n3": 1}
    assert found.measures["changes"][0]["moved_share"] == 0.25
    assert "n4 joins: 25.0% moved in 0.001 s" in found.reason


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (call("put", "y", "v1", "n2", 0, 1), "found 'v1' at x on n2, which nobody has put"),
        (call("put", "x", "v1", "n2", 9, 10), "found 'v1' at x on n2, which was put only later"),
    ],
)
def test_a_value_that_nobody_has_put(put: Call, why: str) -> None:
    found = judged(put, call("get", "x", None, ("v1", "n2"), 2, 3))
    assert found.verdict is Verdict.INVALID and why in found.reason and found.story


def test_an_older_value_is_counted_and_a_put_under_way_is_none() -> None:
    older = call("put", "x", "v1", "n2", 0, 1)
    newer = call("put", "x", "v2", "n2", 2, 3)
    late = call("get", "x", None, ("v1", "n2"), 4, 5)
    assert judged(older, newer, late).measures["stale"] == 1
    under_way = call("get", "x", None, ("v1", "n2"), 2, 5)
    assert judged(older, newer, under_way).measures["stale"] == 0


def test_no_hits_prove_nothing() -> None:
    assert judged(call("get", "x", None, (None, "n2"), 0, 1)).verdict is Verdict.UNKNOWN
