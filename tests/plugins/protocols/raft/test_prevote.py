"""PreVote, held to section 9.6 of the thesis."""

from __future__ import annotations

import pytest

from framework import Duration
from plugins.protocols.raft.messages import Appended, PreVote, PreVoted, RequestVote, Vote
from tests.plugins.protocols.raft.cluster import elect, leader_of, raft_cluster, store

LEAST = Duration("150ms")


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_majority_that_would_vote_is_followed_by_the_election(size: int) -> None:
    cluster = raft_cluster(size, prevote=True)
    leader = elect(cluster, "n1")
    assert (leader.term, leader.voted_for) == (1, "n1")


def test_nothing_changes_before_a_majority_would_vote() -> None:
    cluster = raft_cluster(5, prevote=True)
    before = cluster.stored("n1")
    cluster.time_out("n1", "start_election")
    candidate = cluster.node("n1")
    assert [each.message for each in cluster.envelopes] == [PreVote(1, 0, 0)] * 4
    assert (candidate.role, candidate.term, candidate.voted_for) == ("pre-candidate", 0, None)

    cluster.deliver_all(PreVote, to="n2")
    cluster.deliver_all(PreVoted)
    assert candidate.role == "pre-candidate"
    assert [cluster.stored(server) for server in ("n1", "n2")] == [before, before]
    cluster.deliver_all(PreVote, to="n3")
    cluster.deliver_all(PreVoted)
    assert (candidate.role, candidate.term) == ("candidate", 1)
    assert [each.message for each in cluster.waiting(RequestVote)] == [RequestVote(1, 0, 0)] * 4


def test_a_server_that_was_cut_off_deposes_nobody_when_it_is_back() -> None:
    cluster = raft_cluster(3, prevote=True, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.partition(["n3"], ["n1", "n2"])
    for _ in range(5):
        cluster.time_out("n3", "start_election")
        cluster.stabilize()
    cluster.heal()
    cluster.time_out("n3", "start_election")
    cluster.stabilize()
    assert (leader.role, leader.term, cluster.node("n3").term) == ("leader", 1, 1)

    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert cluster.node("n3").status.leader == "n1"


def test_without_it_the_server_that_was_cut_off_does() -> None:
    """§5.1 alone: its term rose with each time-out, and its answer to the first heartbeat carries it."""
    cluster = raft_cluster(3, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.partition(["n3"], ["n1", "n2"])
    for _ in range(5):
        cluster.time_out("n3", "start_election")
        cluster.stabilize()
    cluster.heal()
    cluster.time_out("n3", "start_election")
    cluster.stabilize()
    assert leader.role == "leader", "its request is ignored by those who hear the leader (4.2.3)"
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert (leader.role, leader.term) == ("follower", 7)


def test_who_heard_a_leader_within_the_least_time_out_does_not_answer() -> None:
    cluster = raft_cluster(3, prevote=True)
    elect(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    cluster.time_out("n3", "start_election")
    cluster.deliver_all(PreVote)
    assert cluster.waiting(PreVoted) == []

    cluster.advance(LEAST - 1, "n2", fire=False)
    cluster.time_out("n3", "start_election")
    cluster.deliver_all(PreVote, to="n2")
    assert cluster.waiting(PreVoted) == []
    cluster.advance(1, "n2", fire=False)
    cluster.time_out("n3", "start_election")
    cluster.deliver_all(PreVote, to="n2")
    assert [each.message for each in cluster.waiting(PreVoted)] == [PreVoted(2, True)]


@pytest.mark.parametrize(
    ("voter", "candidate", "granted"), [((1, 1), (1, 1), True), ((1, 2), (1, 1, 1), False), ((1, 1), (1,), False)]
)
def test_the_election_restriction_holds_for_it_too(
    voter: tuple[int, ...], candidate: tuple[int, ...], granted: bool
) -> None:
    """§5.4.1."""
    cluster = raft_cluster(3, prevote=True)
    store(cluster, "n1", term=2, terms=candidate)
    store(cluster, "n2", term=2, terms=voter)
    cluster.time_out("n1", "start_election")
    cluster.deliver_all(PreVote, to="n2")
    assert [each.message for each in cluster.waiting(PreVoted)] == [PreVoted(3 if granted else 2, granted)]


@pytest.mark.parametrize(("voted_for", "granted"), [(None, True), ("n1", True), ("n3", False)])
def test_a_vote_given_binds_in_its_term(voted_for: str | None, granted: bool) -> None:
    cluster = raft_cluster(3, prevote=True)
    store(cluster, "n2", term=1, terms=(), voted_for=voted_for)
    cluster.time_out("n1", "start_election")
    cluster.deliver_all(PreVote, to="n2")
    assert [each.message for each in cluster.waiting(PreVoted)] == [PreVoted(1, granted)]


def test_a_refusal_tells_of_a_later_term() -> None:
    cluster = raft_cluster(3, prevote=True)
    store(cluster, "n2", term=4, terms=())
    cluster.time_out("n1", "start_election")
    cluster.deliver_all(PreVote, to="n2")
    cluster.deliver_all(PreVoted)
    assert (cluster.node("n1").term, cluster.node("n1").role) == (4, "follower")
    cluster.crash("n3")
    assert elect(cluster, "n1").term == 5


def test_answers_of_an_attempt_gone_by_do_not_count() -> None:
    cluster = raft_cluster(5, prevote=True)
    cluster.time_out("n1", "start_election")
    cluster.deliver_all(PreVote)
    late = cluster.waiting(PreVoted)
    store(cluster, "n2", term=1, terms=(1,))
    elect(cluster, "n2")
    cluster.drop_all()
    cluster.advance(LEAST, fire=False)
    cluster.time_out("n1", "start_election")
    assert cluster.node("n1").role == "pre-candidate"
    cluster.envelopes.extend(late)
    for answer in late:
        cluster.deliver(answer)
    assert (cluster.node("n1").role, cluster.node("n1").term) == ("pre-candidate", 2)


def test_a_pre_candidate_that_hears_the_leader_follows_it() -> None:
    cluster = raft_cluster(3, prevote=True)
    elect(cluster, "n1")
    cluster.advance(LEAST, fire=False)
    cluster.time_out("n3", "start_election")
    cluster.deliver_all(PreVote, to="n2")
    cluster.time_out("n1", "heartbeat")
    cluster.deliver_all(PreVoted, sender="n1")
    cluster.deliver_batch(*cluster.waiting(sender="n1", to="n3"))
    assert cluster.node("n3").status.leader == "n1"
    cluster.deliver_all(PreVoted)
    assert (cluster.node("n3").role, cluster.node("n3").term) == ("follower", 1)


def test_each_attempt_draws_its_time_out_anew() -> None:
    """§5.2: those that stand together do not stand together again."""
    cluster = raft_cluster(3, prevote=True)
    drawn = set()
    for _ in range(20):
        cluster.time_out("n1", "start_election")
        drawn.add(cluster.node("n1").election_timeout)
    assert len(drawn) == 20
    assert cluster.node("n1").term == 0


@pytest.mark.parametrize("check_quorum", [False, True])
def test_a_server_in_a_later_term_than_the_leaders_is_not_stuck(check_quorum: bool) -> None:
    """As in etcd: nobody answers its PreVote, but the leader learns of its term by its answers and steps down."""
    cluster = raft_cluster(3, prevote=True, check_quorum=check_quorum)
    leader = elect(cluster, "n1")
    store(cluster, "n3", term=5, terms=(1,))
    cluster.time_out("n3", "start_election")
    cluster.stabilize()
    assert (leader.role, leader.term) == ("leader", 1)

    cluster.time_out("n1", "heartbeat")
    cluster.deliver_all(Appended)  # its own, of the election
    cluster.stabilize()
    assert (leader.role, leader.term) == ("follower", 5)
    cluster.advance(LEAST, fire=False)
    assert elect(cluster, "n1").term == 6
    assert cluster.node("n3").leader == "n1"


def test_a_cluster_elects_a_leader_when_time_passes_and_another_when_that_dies() -> None:
    cluster = raft_cluster(5, prevote=True, check_quorum=True)
    cluster.run(until=lambda: sum(node.role == "leader" for node in cluster.nodes()) == 1)
    first = leader_of(cluster).id
    cluster.crash(first)
    cluster.run(until=lambda: any(node.role == "leader" for node in cluster.nodes()))
    assert leader_of(cluster).id != first
    assert cluster.waiting(Vote) == []
