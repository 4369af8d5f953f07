"""The cache, driven by hand: where entries are, what moves when caches come and go, and who is brought up to date."""

from __future__ import annotations

from framework import MILLISECOND, Fail, Ok
from framework.testing.cluster import Cluster
from plugins.protocols.cache import unsettled
from plugins.protocols.cache.messages import Get, Handoff, Heartbeat, Put, View, ViewRequest
from tests.plugins.protocols.cache.clusters import KEYS, change, cluster, got, put


def running(made: Cluster) -> dict[str, object]:
    return {node.id: node for node in made.nodes()}


def fall_silent(made: Cluster, *alive: str) -> None:
    """Lets the time pass after which silent caches are taken for dead."""
    for _ in range(6):
        made.advance(50 * MILLISECOND)
        for name in alive:
            if name in made.up:
                made.fire(name, "beat")
        made.deliver_all(Heartbeat)
    made.fire("n1", "look")
    made.stabilize()


def test_a_client_finds_what_another_one_has_put() -> None:
    made = cluster()
    put(made, *KEYS)
    assert [got(made, key) for key in KEYS] == [f"value of {key}" for key in KEYS]
    assert got(made, "unknown") is None
    holders = {name: set(made.node(name).entries) for name in ("n2", "n3", "n4")}
    assert all(holders.values()) and set().union(*holders.values()) == set(KEYS)
    assert sum(map(len, holders.values())) == len(KEYS), "each key is at one cache"


def test_entries_move_to_a_cache_that_joins_and_back_when_it_leaves() -> None:
    made = cluster("protocol.late=[n4]", "protocol.chunk=3")
    put(made, *KEYS)
    assert made.node("n4").entries == {}
    before = {key: made.node("n2").owner(key) for key in KEYS}
    assert change(made, "join", "n4") == Ok(1)  # listed with its next heartbeat
    made.fire("n4", "beat")
    made.stabilize()
    after = {key: made.node("n2").owner(key) for key in KEYS}
    assert {after[key] for key in KEYS if before[key] != after[key]} == {"n4"}
    assert set(made.node("n4").entries) == {key for key in KEYS if after[key] == "n4"}
    assert [got(made, key) for key in KEYS] == [f"value of {key}" for key in KEYS]

    assert change(made, "leave", "n4") == Ok(3)
    assert made.node("n4").entries == {}
    assert [got(made, key) for key in KEYS] == [f"value of {key}" for key in KEYS]
    operation = made.invoke("c1", "report", None)
    made.stabilize()
    (_, _, joins, moved, stayed, lost, _), (_, _, leaves, back, *_) = made.outcomes[operation].value  # type: ignore[union-attr]
    assert (joins, leaves) == ("n4 joins", "n4 leaves")
    assert moved == back > 0 and moved + stayed == len(KEYS) and lost == 0


def test_without_handoff_entries_are_lost() -> None:
    made = cluster("protocol.handoff=false")
    put(made, *KEYS)
    owner = made.node("n2").owner("k1")
    change(made, "leave", owner)
    assert made.waiting(Handoff) == []
    assert got(made, "k1") is None


def test_a_dead_cache_is_dropped_and_begins_empty_when_it_returns() -> None:
    made = cluster()
    put(made, *KEYS)
    lost = len(made.node("n3").entries)
    made.fire("n3", "beat")
    made.stabilize()
    made.crash("n3")
    assert unsettled(running(made)) == "n3 does not run, and n1 lists it"  # type: ignore[arg-type]
    fall_silent(made, "n2", "n4")
    assert made.node("n2").view.caches == ("n2", "n4")
    assert sum(got(made, key) is not None for key in KEYS) == len(KEYS) - lost
    operation = made.invoke("c1", "report", None)
    made.stabilize()
    assert made.outcomes[operation].value[0][2:6] == ("n3 is dead", 0, len(KEYS) - lost, lost)  # type: ignore[union-attr]
    made.restart("n3")
    made.stabilize()
    assert made.node("n3").view.caches == ("n2", "n4", "n3")
    assert unsettled(running(made)) is None  # type: ignore[arg-type]


def test_a_cache_that_was_taken_for_dead_loses_its_entries() -> None:
    made = cluster()
    put(made, *KEYS)
    fall_silent(made, "n2", "n4")  # n3 is only silent
    assert made.node("n3").entries == {} or made.node("n3").view.epoch == 1
    made.fire("n3", "beat")
    made.stabilize()
    assert "n3" in made.node("n2").view.caches
    kept = {key for key in KEYS if got(made, key) is not None}
    assert not kept & {key for key in made.node("n3").entries if made.node("n3").entries[key] != f"value of {key}"}


def test_a_client_with_an_old_list_is_brought_up_to_date() -> None:
    made = cluster()
    put(made, *KEYS)
    assert got(made, "k1", "c2") == "value of k1"
    owner = made.node("n2").owner("k1")
    change(made, "leave", owner)
    made.invoke("c1", "get", "k1")  # by the list of epoch 1
    (asked,) = made.waiting(Get)
    assert (asked.to, asked.message.epoch) == (owner, 1)  # type: ignore[attr-defined]
    made.deliver(asked)
    assert [(each.sender, each.to) for each in made.waiting(View)] == [(owner, "c1")]
    made.stabilize()
    assert made.outcomes[max(made.outcomes)].value[0] == "value of k1"  # type: ignore[union-attr]


def test_a_client_that_hears_nothing_asks_other_nodes_for_the_list() -> None:
    made = cluster()
    made.invoke("c1", "get", "x")
    asked = [each.to for each in made.drop_all(ViewRequest)]
    for _ in range(3):
        made.fire("c1", "transmit")
        asked += [each.to for each in made.drop_all(ViewRequest)]
    assert asked == ["n1", "n2", "n3", "n4"]


def test_an_entry_that_is_handed_off_never_replaces_a_newer_one() -> None:
    made = cluster("protocol.late=[n4]")
    put(made, *KEYS)
    change(made, "join", "n4")
    made.fire("n4", "beat")
    made.deliver_all(Heartbeat)
    made.deliver_all(View)
    moving = [key for each in made.waiting(Handoff) for key, _ in each.message.entries]  # type: ignore[attr-defined]
    epoch = made.node("n4").view.epoch
    made.deliver(made.send("c9", "n4", Put(99, moving[0], "newer", epoch)))
    made.stabilize()
    assert made.node("n4").entries[moving[0]] == "newer"
    assert set(moving) <= set(made.node("n4").entries)


def test_entries_that_come_before_the_list_wait_for_it() -> None:
    made = cluster("protocol.late=[n4]")
    put(made, *KEYS)
    change(made, "join", "n4")
    made.fire("n4", "beat")
    made.deliver_all(Heartbeat)
    made.deliver_all(View, to="n2")
    made.deliver_all(View, to="n3")
    made.deliver_all(Handoff)
    assert made.node("n4").entries == {}
    made.stabilize()
    assert made.node("n4").entries


def test_a_cache_that_missed_lists_hands_off_with_each_of_them() -> None:
    made = cluster("protocol.late=[n4]")
    put(made, *KEYS)
    change(made, "join", "n4")
    made.fire("n4", "beat")
    made.deliver_all(Heartbeat)
    made.drop_all(View, to="n3")
    made.stabilize()
    assert made.node("n3").view.epoch == 1
    made.fire("n3", "beat")
    made.stabilize()
    assert [got(made, key) for key in KEYS] == [f"value of {key}" for key in KEYS]


def test_the_longest_unused_entry_goes() -> None:
    made = cluster("protocol.capacity=3", nodes=2)
    put(made, "a", "b", "c")
    assert got(made, "a") == "value of a"
    put(made, "d")
    assert list(made.node("n2").entries) == ["c", "a", "d"]


def test_the_directory_keeps_its_list_and_its_epoch() -> None:
    made = cluster("protocol.late=[n4]")
    change(made, "leave", "n2")
    made.crash("n1")
    made.restart("n1")
    directory = made.node("n1")
    assert (directory.epoch, list(directory.admitted)) == (2, ["n3"])
    made.stabilize()
    assert change(made, "join", "n4") == Ok(2)
    made.fire("n4", "beat")
    made.stabilize()
    assert made.node("n3").view.caches == ("n3", "n4")


def test_what_cannot_be_changed() -> None:
    made = cluster(nodes=2)
    assert change(made, "join", "n9") == Fail("n9 is not a cache")
    assert change(made, "leave", "n1") == Fail("n1 is not a cache")
    assert change(made, "leave", "n2") == Fail("n2 is the last cache")
    assert change(made, "join", "n2") == Ok(1)


def test_what_is_no_request() -> None:
    made = cluster()
    for function, key, argument in (("get", None, None), ("put", "x", 3), ("leave", None, None)):
        operation = made.invoke("c1", function, key, argument)
        assert isinstance(made.outcomes[operation], Fail)
