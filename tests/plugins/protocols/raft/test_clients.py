"""Clients of Raft: redirection, retries and execution once (§8; thesis 6.2, 6.3)."""

from __future__ import annotations

from framework import Command, NotLeader, Ok, Reply, Request
from framework.replication.sessions import OPEN
from plugins.protocols.raft.messages import AppendEntries
from tests.plugins.protocols.raft.cluster import add, elect, leader_of, raft_cluster, tape_of, terms_of


def test_a_client_opens_a_session_and_is_answered() -> None:
    cluster = raft_cluster(3, clients=["c1"])
    elect(cluster, "n1")
    first = cluster.invoke("c1", "add", None, "x")
    cluster.stabilize()
    second = cluster.invoke("c1", "add", None, "y")
    cluster.stabilize()
    assert cluster.outcomes == {first: Ok(1), second: Ok(2)}
    assert tape_of(cluster, "n1") == ["x", "y"]


def test_a_follower_names_the_leader() -> None:
    cluster = raft_cluster(3)
    command = Command(0, OPEN, b"")
    cluster.deliver(cluster.send("c1", "n2", Request(1, command)))
    elect(cluster, "n1")
    cluster.deliver(cluster.send("c1", "n2", Request(2, command)))
    cluster.stabilize()
    assert cluster.inbox["c1"] == [NotLeader(1, OPEN, None), NotLeader(2, OPEN, "n1")]


def test_a_client_that_asks_a_follower_is_led_on() -> None:
    cluster = raft_cluster(3, clients=["c1"])
    elect(cluster, "n3")
    operation = cluster.invoke("c1", "add", None, "x")  # it asks n1 first
    cluster.stabilize()
    assert cluster.outcomes == {operation: Ok(1)}
    assert cluster.node("c1").leader == "n3"


def test_a_retry_while_the_first_attempt_is_under_way_appends_nothing() -> None:
    cluster = raft_cluster(3)
    leader = elect(cluster, "n1")
    for _ in range(3):
        cluster.deliver(cluster.send("c1", "n1", Request(1, Command(0, OPEN, b""))))
    assert leader.log.last == 2
    cluster.stabilize()
    assert cluster.inbox["c1"] == [Reply(1, OPEN, b"", 2)]
    assert (leader.pending.placed, leader.pending.under_way) == ({}, set())


def test_a_retry_after_a_lost_answer_executes_once() -> None:
    """Thesis 6.3: the answer is repeated."""
    cluster = raft_cluster(3)
    elect(cluster, "n1")
    cluster.deliver(cluster.send("c1", "n1", Request(1, Command(0, OPEN, b""))))
    cluster.stabilize()
    session = cluster.inbox["c1"][0].session  # type: ignore[attr-defined]
    for _ in range(2):
        cluster.deliver(cluster.send("c1", "n1", Request(2, add(session, 1, "x"))))
        cluster.stabilize()
    first, again = cluster.inbox["c1"][1:]
    assert first == again
    assert tape_of(cluster, "n1") == ["x"]


def test_a_leader_dies_after_replicating_and_the_retry_executes_once() -> None:
    cluster = raft_cluster(3, clients=["c1"])
    elect(cluster, "n1")
    cluster.invoke("c1", "add", None, "x")
    cluster.stabilize()
    second = cluster.invoke("c1", "add", None, "y")
    cluster.deliver_all(Request)
    cluster.deliver_all(AppendEntries)  # both followers have it
    cluster.crash("n1")
    cluster.stabilize()
    elect(cluster, "n2")
    cluster.run(until=lambda: second in cluster.outcomes)
    assert cluster.outcomes[second] == Ok(2)
    assert tape_of(cluster, leader_of(cluster).id) == ["x", "y"]


def test_a_deposed_leader_says_nothing_of_what_it_had_appended() -> None:
    """What waits may commit under another leader: NotLeader would be a lie."""
    cluster = raft_cluster(3)
    leader = elect(cluster, "n1")
    cluster.partition(["n1"], ["n2", "n3"])
    cluster.deliver(cluster.send("c1", "n1", Request(1, Command(0, OPEN, b""))))
    cluster.stabilize()
    elect(cluster, "n2")
    cluster.heal()
    cluster.time_out("n2", "heartbeat")
    cluster.stabilize()
    assert leader.role == "follower"
    assert terms_of(cluster, "n1") == [1, 2]
    assert (leader.pending.placed, leader.pending.under_way, cluster.inbox) == ({}, set(), {})


def test_an_answer_rests_on_a_majority_and_need_not_wait_for_the_leaders_next_write() -> None:
    cluster = raft_cluster(3)
    elect(cluster, "n1")
    cluster.deliver(cluster.send("c1", "n1", Request(1, Command(0, OPEN, b""))))
    cluster.deliver_all(AppendEntries)
    cluster.slow_disk("n1")
    second = cluster.send("c2", "n1", Request(2, Command(0, OPEN, b"")))
    acknowledgements = [each for each in cluster.envelopes if each.to == "n1" and each is not second]
    cluster.deliver_batch(*acknowledgements, second)
    assert "n1" in cluster.committing
    assert [each.message for each in cluster.waiting(Reply)] == [Reply(1, OPEN, b"", 2)]


def test_an_expired_session_is_told_so() -> None:
    cluster = raft_cluster(3, max_sessions=1)
    elect(cluster, "n1")
    for client, operation in (("c1", 1), ("c2", 2)):
        cluster.deliver(cluster.send(client, "n1", Request(operation, Command(0, OPEN, b""))))
        cluster.stabilize()
    cluster.deliver(cluster.send("c1", "n1", Request(3, add(2, 1, "x"))))
    cluster.stabilize()
    assert cluster.inbox["c1"][-1] == Reply(3, 1, None, 2)
    assert tape_of(cluster, "n1") == []
