"""Lamport's mutual exclusion, driven by hand. The rules are the paper's."""

from __future__ import annotations

from collections import Counter

import pytest

from framework import JudgedRun, Timestamp
from plugins.protocols.lamport_mutex.node import Acknowledge, Release, Request
from tests.plugins.protocols.mutex import LOCK, acquire, cluster, cost_of_a_turn, inside, release, tokens


def test_a_turn_step_by_step() -> None:
    nodes = cluster("lamport_mutex", clients=1)
    nodes.invoke("c1", "acquire", LOCK)
    nodes.stabilize()
    nodes.invoke("c1", "release", LOCK)
    nodes.stabilize()
    assert nodes.log == [
        "c1 invokes acquire l1 as operation 0",
        "  → n1/ at lock: LockRequest(session=0, key=l1)",
        "n1 takes LockRequest(session=0, key=l1) from c1/lock",
        "  → n2, n3: Request(key=l1, timestamp=1.n1)",
        "n2 takes Request(key=l1, timestamp=1.n1) from n1",
        "  → n1: Acknowledge(key=l1, timestamp=2.n2)",
        "n3 takes Request(key=l1, timestamp=1.n1) from n1",
        "  → n1: Acknowledge(key=l1, timestamp=2.n3)",
        "n1 takes Acknowledge(key=l1, timestamp=2.n2) from n2",
        "n1 takes Acknowledge(key=l1, timestamp=2.n3) from n3",
        "  → c1/lock: LockGrant(session=0, key=l1, token=3)",
        "c1 at lock takes LockGrant(session=0, key=l1, token=3) from n1/",
        "  completes operation 0: Ok(value=3)",
        "c1 invokes release l1 as operation 1",
        "  → n1/ at lock: LockReturn(session=0, key=l1)",
        "  completes operation 1: Ok()",
        "n1 takes LockReturn(session=0, key=l1) from c1/lock",
        "  → n2, n3: Release(key=l1, timestamp=3.n1)",
        "n2 takes Release(key=l1, timestamp=3.n1) from n1",
        "n3 takes Release(key=l1, timestamp=3.n1) from n1",
    ]


@pytest.mark.parametrize("n", [1, 3, 4, 5, 6, 7, 13])
def test_a_turn_costs_three_messages_for_each_other_node(n: int) -> None:
    nodes = cluster("lamport_mutex", nodes=n, clients=n)
    for client in ("c1", f"c{n}", "c1"):
        assert cost_of_a_turn(nodes, client) == Counter(Request=n - 1, Acknowledge=n - 1, Release=n - 1)


def test_requests_are_granted_in_the_order_of_their_timestamps() -> None:
    """Condition II: of two requests with the same time that of the lower node is the earlier one."""
    nodes = cluster("lamport_mutex")
    third, second = acquire(nodes, "c3"), acquire(nodes, "c2")
    nodes.stabilize()
    first = acquire(nodes, "c1")  # later than both: n1 has heard of them
    nodes.stabilize()
    for client in ("c2", "c3", "c1"):
        assert inside(nodes) == [f"n{client[1:]}"]
        release(nodes, client)
        nodes.stabilize()
    assert list(nodes.outcomes)[::2] == [second, third, first]
    assert tokens(nodes, second, third, first) == [4, 5, 12]


def test_a_node_does_not_enter_before_it_has_heard_from_all() -> None:
    """Rule 5 (ii)."""
    nodes = cluster("lamport_mutex")
    acquire(nodes, "c1")
    nodes.deliver_all(Request)
    nodes.deliver(Acknowledge, "n2")
    assert inside(nodes) == []
    nodes.deliver(Acknowledge, "n3")
    assert inside(nodes) == ["n1"]


def test_a_later_request_is_as_good_as_an_acknowledgement() -> None:
    """Rule 5 (ii): any message with a later timestamp."""
    nodes = cluster("lamport_mutex")
    acquire(nodes, "c1")
    nodes.deliver_all(Request)
    nodes.deliver(Acknowledge, "n2")
    acquire(nodes, "c3")
    nodes.drop(Acknowledge, "n3")
    nodes.deliver(Request, "n3", "n1")
    assert inside(nodes) == ["n1"]


def test_every_node_has_the_same_queue() -> None:
    """Rules 1 to 4."""
    nodes = cluster("lamport_mutex")
    for client in ("c1", "c2", "c3"):
        acquire(nodes, client)
    nodes.stabilize()
    queues = [nodes.node(name).resources[LOCK].queue for name in ("n1", "n2", "n3")]
    assert [dict(sorted(queue.items())) for queue in queues] == [
        {f"n{i}": Timestamp(1, f"n{i}") for i in (1, 2, 3)}
    ] * 3
    release(nodes, "c1")
    nodes.deliver_all(Release)
    assert [sorted(queue) for queue in queues] == [["n2", "n3"]] * 3


def test_without_fifo_channels_two_nodes_may_enter() -> None:
    """n1's acknowledgement of n2's request overtakes n1's own, earlier request."""
    nodes = cluster("lamport_mutex")
    acquire(nodes, "c1")
    acquire(nodes, "c2")
    nodes.deliver(Request, "n2", "n1")
    nodes.deliver(Acknowledge, "n1", "n2")
    nodes.deliver(Request, "n2", "n3")
    nodes.deliver(Acknowledge, "n3", "n2")
    assert inside(nodes) == ["n2"]
    nodes.stabilize()
    assert inside(nodes) == ["n1", "n2"]


@pytest.mark.synod("lamport_mutex_chaos", seeds=3)
def test_delay_and_pauses_are_survived(run: JudgedRun) -> None:
    assert run.result["operations"]["ok"] > 300
    assert run.result["sometimes"]["a grant came too late"]
