"""Leader election, held to §5.1, §5.2 and §5.4.1 of the paper."""

from __future__ import annotations

import pytest

from plugins.protocols.raft.messages import AppendEntries, RequestVote, Vote
from plugins.protocols.raft.node import RaftStatus
from tests.plugins.protocols.raft.cluster import elect, leader_of, raft_cluster, store, terms_of


def test_a_cluster_elects_a_leader_when_time_passes() -> None:
    cluster = raft_cluster(5)
    cluster.run(until=lambda: sum(node.role == "leader" for node in cluster.nodes()) == 1)
    leader = leader_of(cluster)
    assert [node.leader for node in cluster.nodes()] == [leader.id] * 5
    assert leader.status == RaftStatus(("leader",), term=leader.term, leader=leader.id, commit=1, first=1, last=1)
    assert (leader.id, "elected", {"term": leader.term}) in cluster.notes


def test_a_single_server_leads_itself() -> None:
    cluster = raft_cluster(1)
    assert elect(cluster, "n1").commit == 1


def test_a_candidate_asks_all_and_waits_for_a_majority() -> None:
    """§5.2: it increments its term, votes for itself, and wins with the votes of a majority."""
    cluster = raft_cluster(5)
    cluster.time_out("n1", "start_election")
    assert cluster.node("n1").status == RaftStatus(("candidate",), term=1, leader=None, commit=0, first=1, last=0)
    assert [each.to for each in cluster.waiting(RequestVote)] == ["n2", "n3", "n4", "n5"]

    cluster.deliver_all(Vote, to="n1")  # its own
    cluster.deliver_all(RequestVote, to="n2")
    cluster.deliver_all(Vote, sender="n2")
    assert cluster.node("n1").role == "candidate"
    cluster.deliver_all(RequestVote, to="n3")
    cluster.deliver_all(Vote, sender="n3")
    assert cluster.node("n1").role == "leader"


def test_a_server_votes_once_a_term() -> None:
    """§5.2: first come, first served; the same candidate may ask twice."""
    cluster = raft_cluster(3)
    cluster.time_out("n1", "start_election")
    cluster.time_out("n2", "start_election")
    request = cluster.waiting(RequestVote, sender="n1", to="n3")[0]
    cluster.envelopes.append(request)
    for _ in range(2):
        cluster.deliver(request)
    cluster.deliver_all(RequestVote, sender="n2", to="n3")
    answers = [(each.to, each.message) for each in cluster.waiting(Vote, sender="n3")]
    assert answers == [("n1", Vote(1, True)), ("n1", Vote(1, True)), ("n2", Vote(1, False))]


def test_a_vote_survives_a_restart() -> None:
    """Figure 2: currentTerm and votedFor are on stable storage before the answer leaves."""
    cluster = raft_cluster(3)
    cluster.time_out("n1", "start_election")
    cluster.time_out("n2", "start_election")
    cluster.deliver_all(RequestVote, sender="n1", to="n3")
    cluster.crash("n3")
    cluster.restart("n3")
    cluster.deliver_all(RequestVote, sender="n2", to="n3")
    assert [each.message for each in cluster.waiting(Vote, sender="n3", to="n2")] == [Vote(1, False)]


def test_no_vote_leaves_before_it_is_durable() -> None:
    cluster = raft_cluster(3)
    cluster.slow_disk("n3")
    cluster.time_out("n1", "start_election")
    cluster.deliver_all(RequestVote, to="n3")
    assert cluster.waiting(Vote, sender="n3") == []
    cluster.crash("n3")  # the vote is lost, and so is the answer
    cluster.restart("n3")
    assert cluster.node("n3").voted_for is None
    assert cluster.waiting(Vote, sender="n3") == []


def test_a_candidates_own_vote_counts_once_it_is_durable() -> None:
    cluster = raft_cluster(3)
    cluster.slow_disk("n1")
    cluster.time_out("n1", "start_election")
    assert cluster.envelopes == []
    cluster.finish_commit("n1")
    assert [each.to for each in cluster.envelopes] == ["n2", "n3", "n1"]


@pytest.mark.parametrize(
    ("voter", "candidate", "granted"),
    [
        ((1, 1), (1, 1), True),
        ((1, 1), (1, 2), True),  # the later last term wins
        ((1, 1, 1), (1, 2), True),  # ... even if its log is shorter
        ((1, 2), (1, 1, 1), False),
        ((1, 1), (1, 1, 1), True),  # of equal last terms, the longer log
        ((1, 1, 1), (1, 1), False),
        ((), (), True),
    ],
)
def test_the_election_restriction(voter: tuple[int, ...], candidate: tuple[int, ...], granted: bool) -> None:
    """§5.4.1."""
    cluster = raft_cluster(3)
    store(cluster, "n1", term=2, terms=candidate)
    store(cluster, "n2", term=2, terms=voter)
    cluster.time_out("n1", "start_election")
    cluster.deliver_all(RequestVote, to="n2")
    assert [each.message for each in cluster.waiting(Vote, sender="n2")] == [Vote(3, granted)]


def test_a_split_vote_is_followed_by_another_term() -> None:
    """§5.2."""
    cluster = raft_cluster(4)
    for candidate, voter in (("n1", "n2"), ("n3", "n4")):
        cluster.time_out(candidate, "start_election")
        cluster.deliver_all(RequestVote, sender=candidate, to=voter)
    cluster.stabilize()
    assert [node.role for node in cluster.nodes()].count("leader") == 0
    assert elect(cluster, "n3").term == 2


def test_a_candidate_follows_the_leader_of_its_term() -> None:
    """§5.2: AppendEntries of its own term ends a candidacy."""
    cluster = raft_cluster(3)
    cluster.time_out("n2", "start_election")
    cluster.time_out("n1", "start_election")
    cluster.deliver_all(RequestVote, sender="n1", to="n3")
    cluster.deliver_all(Vote, to="n1")
    cluster.deliver_all(AppendEntries, to="n2")
    assert cluster.node("n2").status.leader == "n1"
    assert cluster.node("n2").role == "follower"


def test_a_leader_that_was_cut_off_steps_down() -> None:
    """§5.1: whoever sees a later term follows in it."""
    cluster = raft_cluster(3)
    elect(cluster, "n1")
    cluster.partition(["n1"], ["n2", "n3"])
    elect(cluster, "n2")
    assert cluster.node("n1").role == "leader"

    cluster.heal()
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert cluster.node("n1").status == RaftStatus(("follower",), term=2, leader=None, commit=1, first=1, last=1)
    assert ("n1", "stepped_down", {"term": 2}) in cluster.notes
    cluster.time_out("n2", "heartbeat")
    cluster.stabilize()
    assert cluster.node("n1").leader == "n2"
    assert terms_of(cluster, "n1") == [1, 2]


def test_votes_of_an_election_gone_by_do_not_count() -> None:
    cluster = raft_cluster(5)
    cluster.time_out("n1", "start_election")
    cluster.deliver_all(RequestVote)
    late = cluster.waiting(Vote)
    cluster.time_out("n1", "start_election")
    for vote in late:
        cluster.deliver(vote)
    assert cluster.node("n1").role == "candidate"


def test_a_heartbeat_puts_off_the_election_and_a_refused_vote_does_not() -> None:
    """§5.2."""
    cluster = raft_cluster(3)
    elect(cluster, "n1")

    def deadline() -> int:
        return min(at for (_, name, _), at in cluster.timers("n2").items() if name == "start_election")

    before = deadline()
    cluster.advance(1_000_000, "n2", fire=False)
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert deadline() == before + 1_000_000

    store(cluster, "n3", term=1, terms=())
    cluster.advance(1_000_000, "n2", fire=False)
    cluster.time_out("n3", "start_election")
    cluster.deliver_all(RequestVote, to="n2")
    assert cluster.node("n2").term == 2
    assert deadline() == before + 1_000_000


def test_each_term_draws_its_time_out_anew_within_the_range() -> None:
    cluster = raft_cluster(3)
    drawn = set()
    for _ in range(20):
        cluster.time_out("n1", "start_election")
        drawn.add(cluster.node("n1").election_timeout)
    assert len(drawn) == 20
    assert min(drawn) >= 150_000_000
    assert max(drawn) <= 300_000_000
