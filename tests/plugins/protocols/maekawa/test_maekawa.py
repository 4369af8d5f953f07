"""Maekawa's mutual exclusion, driven by hand: quorums, permissions, inquiries."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from framework import JudgedRun, NodeId, Timestamp
from framework.testing.cluster import Cluster
from plugins.protocols.maekawa.messages import Failed, Inquire, Locked, Release, Relinquish, Request
from plugins.protocols.maekawa.quorums import DIFFERENCE_SETS, quorum_of
from tests.plugins.protocols.mutex import (
    LOCK,
    acquire,
    cluster,
    cost_of_a_turn,
    count_messages,
    inside,
    release,
    tokens,
)


def members(count: int) -> list[NodeId]:
    return [f"n{number}" for number in range(1, count + 1)]


# Quorums.


@pytest.mark.parametrize("count", range(1, 40))
def test_any_two_quorums_share_a_node(count: int) -> None:
    quorums = [set(quorum_of(node, members(count))) for node in members(count)]
    assert all(node in quorum for node, quorum in zip(members(count), quorums, strict=True))
    assert all(one & other for one, other in combinations(quorums, 2))


@pytest.mark.parametrize(("count", "size"), [(7, 3), (13, 4), (21, 5), (31, 6)])
def test_lines_of_a_plane_share_exactly_one_node_and_burden_all_alike(count: int, size: int) -> None:
    quorums = [quorum_of(node, members(count)) for node in members(count)]
    assert {len(quorum) for quorum in quorums} == {size}
    assert {len(set(one) & set(other)) for one, other in combinations(quorums, 2)} == {1}
    assert set(Counter(node for quorum in quorums for node in quorum).values()) == {size}


@pytest.mark.parametrize("side", [2, 3, 4, 5, 6])
def test_a_row_and_a_column_of_a_square(side: int) -> None:
    """2 sqrt N - 1."""
    assert {len(quorum_of(node, members(side**2))) for node in members(side**2)} == {2 * side - 1}


@pytest.mark.parametrize("count", DIFFERENCE_SETS)
def test_differences_occur_once(count: int) -> None:
    places = DIFFERENCE_SETS[count]
    differences = sorted((a - b) % count for a in places for b in places if a != b)
    assert differences == list(range(1, count))


# Permissions.


def test_a_turn_step_by_step() -> None:
    nodes = cluster("maekawa", nodes=7, clients=1)
    nodes.invoke("c1", "acquire", LOCK)
    nodes.stabilize()
    nodes.invoke("c1", "release", LOCK)
    nodes.stabilize()
    assert nodes.log == [
        "c1 invokes acquire l1 as operation 0",
        "  → n1/ at lock: LockRequest(session=0, key=l1)",
        "n1 takes LockRequest(session=0, key=l1) from c1/lock",
        "  → n1, n2, n4: Request(key=l1, timestamp=1.n1)",
        "n1 takes Request(key=l1, timestamp=1.n1) from n1",
        "  → n1: Locked(key=l1, timestamp=1.n1, token=0)",
        "n2 takes Request(key=l1, timestamp=1.n1) from n1",
        "  → n1: Locked(key=l1, timestamp=1.n1, token=0)",
        "n4 takes Request(key=l1, timestamp=1.n1) from n1",
        "  → n1: Locked(key=l1, timestamp=1.n1, token=0)",
        "n1 takes Locked(key=l1, timestamp=1.n1, token=0) from n1",
        "n1 takes Locked(key=l1, timestamp=1.n1, token=0) from n2",
        "n1 takes Locked(key=l1, timestamp=1.n1, token=0) from n4",
        "  → c1/lock: LockGrant(session=0, key=l1, token=1)",
        "c1 at lock takes LockGrant(session=0, key=l1, token=1) from n1/",
        "  completes operation 0: Ok(value=1)",
        "c1 invokes release l1 as operation 1",
        "  → n1/ at lock: LockReturn(session=0, key=l1)",
        "  completes operation 1: Ok()",
        "n1 takes LockReturn(session=0, key=l1) from c1/lock",
        "  → n1, n2, n4: Release(key=l1, timestamp=1.n1, token=1)",
        "n1 takes Release(key=l1, timestamp=1.n1, token=1) from n1",
        "n2 takes Release(key=l1, timestamp=1.n1, token=1) from n1",
        "n4 takes Release(key=l1, timestamp=1.n1, token=1) from n1",
    ]


@pytest.mark.parametrize("n", [1, 3, 4, 5, 6, 7, 13])
def test_a_turn_costs_three_messages_for_each_other_node_of_the_quorum(n: int) -> None:
    nodes = cluster("maekawa", nodes=n, clients=n)
    for client in ("c1", f"c{n}", "c1"):
        others = len(quorum_of(f"n{client[1:]}", members(n))) - 1
        assert cost_of_a_turn(nodes, client) == Counter(Request=others, Locked=others, Release=others)


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7, 13])
def test_turns_that_all_want_cost_at_most_six_messages_for_each_other_node_of_the_quorum(n: int) -> None:
    """At each arbiter: Request, Locked and Release; and Failed, once for each request that is later or is displaced, or
    Inquire, Relinquish and a second Locked for the one that has relinquished. Maekawa counts 5, without the second Locked."""
    nodes = cluster("maekawa", nodes=n, clients=n)
    for number in range(n, 0, -1):
        nodes.invoke(f"c{number}", "acquire", LOCK)
        nodes.deliver_all("LockRequest")
    seen: Counter[str] = Counter()
    for _ in range(n):
        seen += count_messages(nodes)
        (holder,) = inside(nodes)
        release(nodes, f"c{holder[1:]}")
    seen += count_messages(nodes)
    others = sum(len(quorum_of(node, members(n))) - 1 for node in members(n))
    assert seen["Request"] == seen["Release"] == others
    assert 3 * others < seen.total() <= 6 * others


def ask(nodes: Cluster, *numbers: int) -> list[int]:
    """Clients ask for the lock; nothing is delivered to arbiters."""
    return [acquire(nodes, f"c{number}") for number in numbers]


def test_an_arbiter_tells_a_later_request_that_it_fails() -> None:
    nodes = cluster("maekawa")
    ask(nodes, 1, 2)
    nodes.deliver(Request, "n1", "n1")
    nodes.deliver(Request, "n2", "n1")
    assert [each.message for each in nodes.waiting(Failed, to="n2")] == [Failed(LOCK, Timestamp(1, "n2"))]
    nodes.stabilize()
    assert inside(nodes) == ["n1"]
    release(nodes, "c1")
    nodes.stabilize()
    assert inside(nodes) == ["n2"]


def test_a_node_that_fails_elsewhere_relinquishes() -> None:
    """n2 has n1's permission, and n1 has asked earlier. It fails at n3, and so lets n1 go first."""
    nodes = cluster("maekawa", nodes=4, clients=4)
    ask(nodes, 1, 2)
    nodes.deliver(Request, "n2", "n1")
    nodes.deliver(Request, "n1", "n1")
    nodes.deliver(Locked, "n1", "n2")
    nodes.deliver(Inquire, "n1", "n2")
    assert nodes.waiting(Relinquish) == []  # it may succeed yet
    nodes.send("n4", "n2", Failed(LOCK, Timestamp(1, "n2")))
    nodes.deliver(Failed, "n4", "n2")
    assert [(each.to, each.message) for each in nodes.waiting(Relinquish)] == [
        ("n1", Relinquish(LOCK, Timestamp(1, "n2")))
    ]
    nodes.stabilize()
    assert inside(nodes) == ["n1"]


def test_a_node_that_is_inside_does_not_relinquish() -> None:
    nodes = cluster("maekawa")
    ask(nodes, 2)
    nodes.stabilize()
    ask(nodes, 1)
    nodes.stabilize()
    assert inside(nodes) == ["n2"]
    nodes.send("n1", "n2", Inquire(LOCK, Timestamp(1, "n2")))
    nodes.stabilize()
    assert inside(nodes) == ["n2"]


def test_an_inquiry_may_come_before_the_permission() -> None:
    nodes = cluster("maekawa", nodes=4, clients=4)
    ask(nodes, 1, 2)
    nodes.deliver(Request, "n2", "n1")
    nodes.deliver(Request, "n1", "n1")
    nodes.deliver(Inquire, "n1", "n2")
    nodes.send("n4", "n2", Failed(LOCK, Timestamp(1, "n2")))
    nodes.deliver(Failed, "n4", "n2")
    assert nodes.waiting(Relinquish) == []
    nodes.deliver(Locked, "n1", "n2")
    assert len(nodes.waiting(Relinquish, "n2", "n1")) == 1


def test_a_failure_that_the_permission_overtakes_is_ignored() -> None:
    nodes = cluster("maekawa")
    ask(nodes, 2)
    nodes.deliver(Request, "n2", "n1")
    nodes.deliver(Locked, "n1", "n2")
    nodes.send("n1", "n2", Failed(LOCK, Timestamp(1, "n2")))
    nodes.deliver(Failed, "n1", "n2")
    assert nodes.node("n2").candidacies[LOCK].failed == []


def test_a_displaced_request_is_told() -> None:
    """Sanders: n3 is locked, n2 waits as the first, then n1 comes before it."""
    nodes = cluster("maekawa", nodes=7, clients=7)
    late, middle, early = (Timestamp(time, f"n{time}") for time in (3, 2, 1))
    for timestamp in (late, middle):
        nodes.deliver(nodes.send(timestamp.node, "n5", Request(LOCK, timestamp)))
    assert [(each.to, type(each.message)) for each in nodes.waiting(sender="n5")] == [("n3", Locked), ("n3", Inquire)]
    nodes.deliver(nodes.send("n1", "n5", Request(LOCK, early)))
    assert [each.message for each in nodes.waiting(Failed)] == [Failed(LOCK, middle)]
    assert len(nodes.waiting(Inquire)) == 1


def test_a_release_passes_the_permission_to_the_earliest() -> None:
    nodes = cluster("maekawa", nodes=7, clients=7)
    for time in (3, 5, 4):
        nodes.deliver(nodes.send(f"n{time}", "n7", Request(LOCK, Timestamp(time, f"n{time}"))))
    nodes.drop_all()
    nodes.deliver(nodes.send("n3", "n7", Release(LOCK, Timestamp(3, "n3"), 8)))
    assert [each.message for each in nodes.envelopes] == [Locked(LOCK, Timestamp(4, "n4"), 8)]


def test_tokens_rise_though_requests_are_not_granted_in_their_order() -> None:
    nodes = cluster("maekawa", nodes=7, clients=7)
    operations = ask(nodes, 5)
    nodes.stabilize()
    operations += ask(nodes, 4, 3, 2, 1)
    nodes.stabilize()
    order = []
    while inside(nodes):
        (holder,) = inside(nodes)
        order.append(operations[[5, 4, 3, 2, 1].index(int(holder[1:]))])
        release(nodes, f"c{holder[1:]}")
        nodes.stabilize()
    assert tokens(nodes, *order) == [1, 2, 3, 4, 5]


@pytest.mark.synod("maekawa_chaos", seeds=2)
@pytest.mark.synod("maekawa_chaos", overrides=["nodes=9"], seeds=1)
def test_delay_reordering_and_pauses_are_survived(run: JudgedRun) -> None:
    assert run.result["operations"]["ok"] > 300
    assert run.result["sometimes"]["a permission was given back"]
