"""Ricart and Agrawala's mutual exclusion, driven by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from framework import JudgedRun, LockGrant, LockReturn, Operation
from framework.core.node_runtime import Deliver, Fire, Invoke
from plugins.protocols.ricart_agrawala.node import Reply, Request
from tests.plugins.protocols.mutex import LOCK, acquire, cluster, cost_of_a_turn, inside, release, tokens


def test_a_turn_step_by_step() -> None:
    nodes = cluster("ricart_agrawala", clients=1)
    nodes.invoke("c1", "acquire", LOCK)
    nodes.stabilize()
    release(nodes, "c1")
    assert nodes.log == [
        "c1 invokes acquire l1 as operation 0",
        "  → n1/ at lock: LockRequest(session=0, key=l1)",
        "n1 takes LockRequest(session=0, key=l1) from c1/lock",
        "  → n2, n3: Request(key=l1, timestamp=1.n1)",
        "n2 takes Request(key=l1, timestamp=1.n1) from n1",
        "  → n1: Reply(key=l1, timestamp=1.n1)",
        "n3 takes Request(key=l1, timestamp=1.n1) from n1",
        "  → n1: Reply(key=l1, timestamp=1.n1)",
        "n1 takes Reply(key=l1, timestamp=1.n1) from n2",
        "n1 takes Reply(key=l1, timestamp=1.n1) from n3",
        "  → c1/lock: LockGrant(session=0, key=l1, token=3)",
        "c1 at lock takes LockGrant(session=0, key=l1, token=3) from n1/",
        "  completes operation 0: Ok(value=3)",
        "c1 invokes release l1 as operation 1",
        "  → n1/ at lock: LockReturn(session=0, key=l1)",
        "  completes operation 1: Ok()",
        "n1 takes LockReturn(session=0, key=l1) from c1/lock",
    ]


@pytest.mark.parametrize("n", [1, 3, 4, 5, 6, 7, 13])
def test_a_turn_costs_two_messages_for_each_other_node(n: int) -> None:
    nodes = cluster("ricart_agrawala", nodes=n, clients=n)
    for client in ("c1", f"c{n}", "c1"):
        assert cost_of_a_turn(nodes, client) == Counter(Request=n - 1, Reply=n - 1)


def test_of_two_requests_with_the_same_time_that_of_the_lower_node_goes_first() -> None:
    nodes = cluster("ricart_agrawala")
    second, first = acquire(nodes, "c3"), acquire(nodes, "c2")
    nodes.stabilize()
    assert (inside(nodes), list(nodes.outcomes)) == (["n2"], [first])
    release(nodes, "c2")
    nodes.stabilize()
    assert inside(nodes) == ["n3"]
    assert tokens(nodes, first, second) == [4, 5]


def test_a_later_request_waits_and_an_earlier_one_does_not() -> None:
    nodes = cluster("ricart_agrawala")
    acquire(nodes, "c1")
    nodes.deliver(Request, "n1", "n2")  # n2 knows of 1.n1, so its own request is later
    acquire(nodes, "c2")
    nodes.deliver(Request, "n2", "n1")
    assert nodes.waiting(Reply, "n1") == []
    nodes.stabilize()
    assert inside(nodes) == ["n1"]
    release(nodes, "c1")
    nodes.stabilize()
    assert inside(nodes) == ["n2"]


def test_a_node_serves_its_clients_in_turn_and_others_between_them() -> None:
    nodes = cluster("ricart_agrawala", clients=6)
    order = [acquire(nodes, client) for client in ("c4", "c1")]
    nodes.stabilize()
    order.insert(1, acquire(nodes, "c2"))
    nodes.stabilize()
    for client in ("c4", "c2"):
        release(nodes, client)
        nodes.stabilize()
    assert list(nodes.outcomes)[::2] == order
    assert sorted(tokens(nodes, *order)) == tokens(nodes, *order)


def test_locks_are_independent() -> None:
    nodes = cluster("ricart_agrawala")
    first, second = acquire(nodes, "c1", "l1"), acquire(nodes, "c2", "l2")
    nodes.stabilize()
    assert (inside(nodes, "l1"), inside(nodes, "l2")) == (["n1"], ["n2"])
    assert tokens(nodes, first, second) == [3, 4]


def test_replies_may_overtake_requests() -> None:
    nodes = cluster("ricart_agrawala")
    acquire(nodes, "c1")
    acquire(nodes, "c2")
    nodes.deliver(Request, "n2", "n3")
    nodes.deliver(Reply, "n3", "n2")
    nodes.deliver(Request, "n2", "n1")  # n1 defers
    nodes.deliver(Request, "n1", "n2")  # n2 replies
    nodes.deliver(Reply, "n2", "n1")
    nodes.stabilize()
    assert inside(nodes) == ["n1"]


# Clients.


def test_a_grant_that_nobody_awaits_is_given_back() -> None:
    nodes = cluster("ricart_agrawala")
    acquire(nodes, "c1")
    nodes.stabilize()
    nodes.send("n1", "c1", LockGrant(-7, LOCK, 1), path="lock")
    nodes.deliver(LockGrant)
    assert [each.message for each in nodes.envelopes] == [LockReturn(-7, LOCK)]
    nodes.stabilize()
    assert inside(nodes) == ["n1"]  # as its other operation holds the lock


def test_a_return_that_comes_twice_changes_nothing() -> None:
    nodes = cluster("ricart_agrawala", clients=4)
    acquire(nodes, "c1")
    nodes.stabilize()
    nodes.invoke("c1", "release", LOCK)
    nodes.duplicate(LockReturn)
    acquire(nodes, "c4")
    nodes.stabilize()
    assert inside(nodes) == ["n1"]


def test_a_grant_in_the_same_batch_as_the_time_out_is_given_back() -> None:
    nodes = cluster("ricart_agrawala")
    nodes._batch("c1", [Invoke(Operation(0, "acquire", LOCK), 1_000)])
    for kind in ("LockRequest", "Request", "Reply"):
        nodes.deliver_all(kind)
    (envelope,) = nodes.waiting(LockGrant)
    nodes.envelopes.remove(envelope)
    (timer,) = [timer for timer in nodes.timers("c1") if timer[1] == "_time_out"]
    nodes._batch("c1", [Fire(timer), Deliver("lock", "n1", envelope.message)])
    assert [type(each.message) for each in nodes.envelopes] == [LockReturn]
    nodes.stabilize()
    assert (inside(nodes), nodes.node("c1").held) == ([], None)


# Runs.


@pytest.mark.synod("ricart_agrawala_chaos", seeds=3)
def test_delay_reordering_and_pauses_are_survived(run: JudgedRun) -> None:
    assert run.result["operations"]["ok"] > 300
    assert run.result["sometimes"]["a grant came too late"]
