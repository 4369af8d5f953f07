"""Reads that go without the log, held to section 6.4 of the thesis."""

from __future__ import annotations

from typing import Any

import pytest

from framework import Answer, Command, Duration, NotLeader, Query, Reply, Request
from framework.replication.sessions import OPEN
from framework.testing.cluster import Cluster
from plugins.protocols.raft.messages import Appended, AppendEntries
from tests.plugins.protocols.raft.cluster import add, elect, length, raft_cluster, set_off
from tests.plugins.protocols.raft.tape import Tape

LEAST = Duration("150ms")


def reading(read_mode: str = "read_index", size: int = 3, **config: Any) -> Cluster:
    return raft_cluster(size, prevote=True, check_quorum=True, read_mode=read_mode, **config)


def ask(cluster: Cluster, server: str, operation: int = 1) -> None:
    cluster.deliver(cluster.send("c1", server, length(operation)))


def write(cluster: Cluster, server: str, value: str) -> None:
    """Opens a session and adds to the tape."""
    cluster.deliver(cluster.send("w", server, Request(100, Command(0, OPEN, b""))))
    cluster.stabilize()
    session = cluster.inbox["w"][-1].session  # type: ignore[attr-defined]
    cluster.deliver(cluster.send("w", server, Request(101, add(session, 1, value))))
    cluster.stabilize()
    assert isinstance(cluster.inbox["w"][-1], Reply)


def told(cluster: Cluster, client: str = "c1") -> list[Any]:
    """What the client has heard: lengths of the tape by operation, or messages of another kind."""
    heard = cluster.inbox.get(client, [])
    return [
        (each.operation, Tape.result(each.result)) if isinstance(each, Answer) else each
        for each in heard
    ]  # fmt: skip


@pytest.mark.parametrize("read_mode", ["read_index", "lease"])
@pytest.mark.parametrize("size", [1, 3])
def test_a_read_sees_what_was_written_and_writes_nothing(read_mode: str, size: int) -> None:
    cluster = reading(read_mode, size)
    leader = elect(cluster, "n1")
    write(cluster, "n1", "x")
    last = leader.log.last
    ask(cluster, "n1")
    cluster.stabilize()
    assert told(cluster) == [(1, 1)]
    assert leader.log.last == last
    assert not leader.reads


@pytest.mark.parametrize("read_mode", ["read_index", "lease"])
def test_who_does_not_lead_says_who_does(read_mode: str) -> None:
    cluster = reading(read_mode)
    ask(cluster, "n2", 1)
    elect(cluster, "n1")
    ask(cluster, "n2", 2)
    cluster.stabilize()
    assert told(cluster) == [NotLeader(1, 0, None), NotLeader(2, 0, "n1")]


# read_index.


def test_it_is_answered_when_a_majority_has_answered_a_round_that_began_later() -> None:
    cluster = reading(size=5)
    elect(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    earlier = list(cluster.envelopes)
    ask(cluster, "n1")
    later = [each for each in cluster.envelopes if each not in earlier]
    assert [each.to for each in later] == ["n2", "n3", "n4", "n5"]
    for append in earlier:
        cluster.deliver(append)
    cluster.deliver_all(Appended)
    assert told(cluster) == []
    cluster.deliver(later[0])
    cluster.deliver_all(Appended)
    assert cluster.waiting(Answer) == []
    cluster.deliver(later[1])
    cluster.deliver_all(Appended)
    cluster.deliver_all(Answer)
    assert told(cluster) == [(1, 0)]


def test_one_round_answers_all_that_wait_and_the_next_all_that_came_meanwhile() -> None:
    """6.4: four messages for each round of three servers, however many the reads."""
    cluster = reading()
    leader = elect(cluster, "n1")
    began = leader.rounds.latest
    cluster.deliver_batch(*[cluster.send("c1", "n1", length(number)) for number in range(10)])
    cluster.deliver_batch(*[cluster.send("c1", "n1", length(number)) for number in range(10, 20)])
    assert len(cluster.waiting(AppendEntries)) == 2
    cluster.stabilize()
    assert leader.rounds.latest == began + 2
    assert told(cluster) == [(number, 0) for number in range(20)]


def test_a_round_that_is_lost_is_made_good_by_the_next_heartbeat() -> None:
    cluster = reading()
    elect(cluster, "n1")
    ask(cluster, "n1")
    cluster.drop_all()
    ask(cluster, "n1", 2)
    assert cluster.envelopes == []  # a round is under way, as far as the leader knows
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert told(cluster) == [(1, 0), (2, 0)]


def test_a_new_leader_answers_once_an_entry_of_its_own_term_is_committed() -> None:
    """It cannot know before how much of its log is."""
    cluster = reading()
    elect(cluster, "n1")
    write(cluster, "n1", "x")
    for server in cluster.servers:
        cluster.advance(LEAST, fire=False)
        cluster.crash(server)
        cluster.restart(server)
    cluster.advance(LEAST, fire=False)
    leader = set_off(cluster, "n2")
    assert leader.commit == 0
    ask(cluster, "n2")
    beats = [each for each in cluster.waiting(AppendEntries) if not each.message.entries]  # type: ignore[attr-defined]
    for each in cluster.waiting(AppendEntries):
        if each not in beats:
            cluster.drop(each)
    cluster.deliver_all(AppendEntries)
    cluster.deliver_all(Appended)
    assert leader.rounds.confirmed >= leader.reads.waiting[0].round
    assert cluster.waiting(Answer) == []
    cluster.time_out("n2", "heartbeat")
    cluster.stabilize()
    assert told(cluster) == [(1, 1)]


def test_a_leader_that_was_deposed_unawares_never_answers_from_its_past() -> None:
    cluster = reading()
    old = elect(cluster, "n1")
    cluster.partition(["n1"], ["n2", "n3"])
    cluster.advance(LEAST, fire=False)
    elect(cluster, "n2")
    write(cluster, "n2", "x")
    assert old.role == "leader"
    ask(cluster, "n1")
    cluster.stabilize()
    assert told(cluster) == []

    cluster.heal()
    cluster.time_out("n2", "heartbeat")
    cluster.stabilize()
    assert told(cluster) == [NotLeader(1, 0, None)]
    assert not old.reads


def test_a_leader_that_steps_down_for_want_of_a_majority_sends_its_readers_away() -> None:
    cluster = reading()
    elect(cluster, "n1")
    cluster.partition(["n1"], ["n2", "n3"])
    ask(cluster, "n1")
    cluster.stabilize()
    cluster.time_out("n1", "lose_quorum")
    cluster.stabilize()
    assert told(cluster) == [NotLeader(1, 0, None)]


def test_it_works_without_check_quorum() -> None:
    cluster = raft_cluster(3, read_mode="read_index")
    leader = elect(cluster, "n1")
    ask(cluster, "n1")
    cluster.stabilize()
    assert told(cluster) == [(1, 0)]
    assert not leader.rounds.unconfirmed


# By lease.


def test_while_the_lease_lasts_a_read_costs_no_message_between_servers() -> None:
    """6.4.1."""
    cluster = reading("lease")
    elect(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    for number in range(100):
        ask(cluster, "n1", number)
        assert [type(each.message) for each in cluster.envelopes] == [Answer]
        cluster.stabilize()
    assert told(cluster) == [(number, 0) for number in range(100)]


def test_once_it_has_run_out_a_round_is_needed_and_renews_it() -> None:
    cluster = reading("lease")
    leader = elect(cluster, "n1")
    cluster.advance(leader.lease.end - cluster.clock("n1"), "n1", fire=False)
    ask(cluster, "n1", 1)
    assert [type(each.message) for each in cluster.envelopes] == [AppendEntries] * 2
    cluster.stabilize()
    ask(cluster, "n1", 2)
    assert [type(each.message) for each in cluster.envelopes] == [Answer]
    cluster.stabilize()
    assert told(cluster) == [(1, 0), (2, 0)]


def test_a_leader_that_was_deposed_unawares_has_no_lease_left() -> None:
    cluster = reading("lease")
    old = elect(cluster, "n1")
    cluster.partition(["n1"], ["n2", "n3"])
    cluster.advance(LEAST, fire=False)
    elect(cluster, "n2")
    assert old.role == "leader"
    ask(cluster, "n1")
    cluster.stabilize()
    assert told(cluster) == []


def test_a_lease_without_an_entry_of_the_leaders_term_is_of_no_use() -> None:
    cluster = reading("lease")
    elect(cluster, "n1")
    write(cluster, "n1", "x")
    for server in cluster.servers:
        cluster.crash(server)
        cluster.restart(server)
    cluster.advance(LEAST, fire=False)
    leader = set_off(cluster, "n2")
    ask(cluster, "n2")
    beats = [each for each in cluster.waiting(AppendEntries) if not each.message.entries]  # type: ignore[attr-defined]
    for each in cluster.waiting(AppendEntries):
        if each not in beats:
            cluster.drop(each)
    cluster.deliver_all(AppendEntries)
    cluster.deliver_all(Appended)
    assert leader.holds_lease()
    ask(cluster, "n2", 2)
    assert cluster.waiting(Answer) == []
    cluster.run(until=lambda: len(told(cluster)) == 2)
    assert told(cluster) == [(1, 1), (2, 1)]


def test_a_query_that_comes_twice_while_it_waits_is_answered_once() -> None:
    """A client that tries again and again must not fill the queue of a leader that is cut off."""
    cluster = reading()
    elect(cluster, "n1")
    ask(cluster, "n1")
    ask(cluster, "n1")
    cluster.stabilize()
    assert told(cluster) == [(1, 0)]
    assert cluster.waiting(Query) == []
