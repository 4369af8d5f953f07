"""Leadership transfer, held to section 3.10 of the thesis."""

from __future__ import annotations

from typing import Any

import pytest

from framework import Administered, Command, Duration, NotLeader, Ok, Reply, Request
from framework.replication.sessions import OPEN
from framework.testing.cluster import Cluster
from plugins.protocols.raft.messages import Appended, AppendEntries, PreVote, RequestVote, TimeoutNow
from tests.plugins.protocols.raft.cluster import administer, elect, leader_of, raft_cluster, tape_of

LEAST = Duration("150ms")


def whole(size: int = 3, **config: Any) -> Cluster:
    return raft_cluster(size, prevote=True, check_quorum=True, **config)


def test_the_target_leads_at_once_although_all_have_just_heard_the_leader() -> None:
    """Neither PreVote nor the followers' promise holds it up, and no clock moves."""
    cluster = whole()
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    before = [cluster.clock(server) for server in cluster.servers]
    cluster.stabilize()
    assert [node.status.leader for node in cluster.nodes()] == ["n3"] * 3
    assert cluster.node("n3").term == 2
    assert [cluster.clock(server) for server in cluster.servers] == before
    assert cluster.waiting(PreVote) == []


def test_the_administrator_is_sent_on_and_told_by_who_leads_now() -> None:
    cluster = whole()
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    cluster.stabilize()
    assert cluster.inbox["admin"] == [NotLeader(7, 0, "n3")]
    administer(cluster, "n3", 7, "transfer_leader", "n3")
    cluster.stabilize()
    assert cluster.inbox["admin"][1:] == [Administered(7)]


def test_a_follower_names_the_leader_and_a_stranger_is_refused() -> None:
    cluster = whole()
    elect(cluster, "n1")
    administer(cluster, "n2", 1, "transfer_leader", "n3")
    administer(cluster, "n1", 2, "transfer_leader", "n9")
    administer(cluster, "n1", 3, "make_coffee", "n2")
    cluster.stabilize()
    assert cluster.inbox["admin"] == [
        NotLeader(1, 0, "n1"),
        Administered(2, "n9 is none of n1, n2, n3"),
        Administered(3, "nobody here can make_coffee"),
    ]
    assert cluster.node("n1").role == "leader"


def test_the_target_is_brought_up_to_date_first() -> None:
    cluster = whole(max_append_entries=1)
    leader = elect(cluster, "n1")
    cluster.partition(["n1", "n2"], ["n3"])
    for number in range(5):
        cluster.deliver(cluster.send("c1", "n1", Request(number, Command(0, OPEN, b""))))
        cluster.stabilize()
    cluster.heal()
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    assert leader.match_index["n3"] < leader.log.last
    while not cluster.waiting(TimeoutNow):
        cluster.deliver(cluster.envelopes[0])
    assert leader.match_index["n3"] == leader.log.last == cluster.node("n3").log.last
    cluster.stabilize()
    assert cluster.node("n3").role == "leader"


def test_requests_that_come_meanwhile_are_neither_lost_nor_executed_twice() -> None:
    cluster = whole(clients=["c1"])
    leader = elect(cluster, "n1")
    first = cluster.invoke("c1", "add", None, "x")
    cluster.stabilize()
    cluster.crash("n3")
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    second = cluster.invoke("c1", "add", None, "y")
    last = leader.log.last
    cluster.deliver_all(Request)
    assert [each.message for each in cluster.waiting(NotLeader)] == [NotLeader(second, 2, None)]
    assert leader.log.last == last

    cluster.restart("n3")
    cluster.run(until=lambda: second in cluster.outcomes)
    assert cluster.outcomes == {first: Ok(1), second: Ok(2)}
    assert tape_of(cluster, leader_of(cluster).id) == ["x", "y"]


def test_what_was_appended_before_is_answered_and_its_retry_left_alone() -> None:
    cluster = whole()
    elect(cluster, "n1")
    opening = Command(0, OPEN, b"")
    cluster.deliver(cluster.send("c1", "n1", Request(1, opening)))
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    cluster.deliver(cluster.send("c1", "n1", Request(1, opening)))
    assert cluster.waiting(NotLeader) == []
    cluster.stabilize()
    assert cluster.inbox["c1"] == [Reply(1, OPEN, b"", 2)]
    assert cluster.node("n3").role == "leader"


def test_a_target_that_does_not_answer_is_given_up_after_an_election_time_out() -> None:
    cluster = whole()
    leader = elect(cluster, "n1")
    cluster.crash("n3")
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    cluster.stabilize()
    for _ in range(3):
        cluster.time_out("n1", "heartbeat")
        cluster.stabilize()
    cluster.time_out("n1", "abort_transfer")
    assert ("n1", "transfer_aborted", {"to": "n3"}) in cluster.notes
    cluster.deliver(cluster.send("c1", "n1", Request(1, Command(0, OPEN, b""))))
    cluster.stabilize()
    assert (leader.role, leader.commit) == ("leader", 2)
    assert cluster.inbox["c1"] == [Reply(1, OPEN, b"", 2)]

    cluster.restart("n3")
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    administer(cluster, "n1", 7, "transfer_leader", "n3")  # the administrator's next try
    cluster.stabilize()
    assert cluster.node("n3").role == "leader"


def test_a_time_out_now_that_is_lost_is_sent_again() -> None:
    cluster = whole()
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    cluster.deliver_all(AppendEntries)
    cluster.deliver_all(Appended)
    cluster.drop_all(TimeoutNow)
    cluster.stabilize()
    assert cluster.node("n1").role == "leader"
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert cluster.node("n3").role == "leader"


def test_one_that_comes_twice_or_late_does_nothing() -> None:
    cluster = whole()
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    cluster.deliver_all(AppendEntries)
    cluster.deliver_all(Appended)
    [order] = cluster.waiting(TimeoutNow)
    cluster.stabilize()
    cluster.envelopes.append(order)
    cluster.stabilize()
    assert cluster.node("n3").status.term == 2


def test_another_target_takes_the_place_of_the_first() -> None:
    cluster = whole()
    elect(cluster, "n1")
    cluster.crash("n3")
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    administer(cluster, "n1", 8, "transfer_leader", "n2")
    cluster.stabilize()
    assert cluster.node("n2").role == "leader"
    assert cluster.inbox["admin"] == [NotLeader(8, 0, "n2")]


def test_a_transfer_that_loses_its_election_leaves_an_ordinary_one() -> None:
    """Only the candidacy that the leader asked for is one of its transfer."""
    cluster = whole(5)
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    cluster.deliver_all(AppendEntries)
    cluster.deliver_all(Appended)
    cluster.deliver_all(TimeoutNow)
    asked = cluster.drop_all(RequestVote)
    assert {each.message.transfer for each in asked} == {True}  # type: ignore[attr-defined]
    cluster.time_out("n3", "start_election")
    assert cluster.waiting(RequestVote) == []
    assert [each.message for each in cluster.waiting(PreVote)] == [PreVote(3, 1, 1)] * 4


@pytest.mark.parametrize("read_mode", ["log", "read_index", "lease"])
def test_the_lease_is_given_up_for_the_rest_of_the_term(read_mode: Any) -> None:
    """A TimeoutNow may arrive however late, and those who elect its receiver heard this leader a moment ago."""
    cluster = whole(read_mode=read_mode)
    leader = elect(cluster, "n1")
    assert leader.holds_lease() == (read_mode == "lease")
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    cluster.deliver_all(AppendEntries)
    cluster.deliver_all(Appended)
    [order] = cluster.waiting(TimeoutNow)
    cluster.drop_all()
    cluster.time_out("n1", "abort_transfer")
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert leader.role == "leader"
    assert not leader.holds_lease()

    cluster.envelopes.append(order)
    cluster.deliver(order)
    cluster.partition(["n1"], ["n2", "n3"])
    cluster.stabilize()
    assert cluster.node("n3").role == "leader"
    assert not leader.holds_lease()


def test_who_leads_alone_hands_over_to_itself_only() -> None:
    cluster = whole(1)
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "transfer_leader", "n1")
    cluster.stabilize()
    assert cluster.inbox["admin"] == [Administered(7)]
