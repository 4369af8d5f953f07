"""Check-quorum and the leader's lease, held to sections 4.2.3, 6.2 and 6.4.1 of the thesis."""

from __future__ import annotations

from typing import Any

import pytest

from framework import Duration
from plugins.protocols.raft.messages import Appended, AppendEntries, PreVote, RequestVote, Vote
from tests.plugins.protocols.raft.cluster import Cluster, elect, set_off

LEAST = Duration("150ms")
BEAT = Duration("50ms")


def leased(size: int = 3, **config: Any) -> Cluster:
    return Cluster(size, check_quorum=True, read_mode="lease", max_clock_drift_ppm=0, **config)


def request_vote(cluster: Cluster, candidate: str, voter: str) -> list[Any]:
    """What the voter answers to a candidate whose own patience is at its end."""
    cluster.network = []
    cluster.time_out(candidate)
    cluster.pass_on(RequestVote, candidate, voter)
    return [each.message for each in cluster.waiting(Vote, voter)]


# Check-quorum.


def test_a_leader_whose_rounds_go_unanswered_steps_down() -> None:
    """6.2."""
    cluster = Cluster(3, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.partition(["n1"], ["n2", "n3"])
    cluster.time_out("n1", "heartbeat")
    cluster.settle()
    cluster.time_out("n1", "lose_quorum")
    assert leader.status == {"role": "follower", "term": 1, "leader": None, "commit": 1, "last": 1}
    assert ("n1", "stepped_down", {"term": 1}) in cluster.notes
    assert [key[1] for key in cluster.hosts["n1"].timers] == ["start_election"]


def test_it_stays_as_long_as_a_majority_answers() -> None:
    cluster = Cluster(5, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.partition(["n1", "n2", "n3"], ["n4"], ["n5"])
    for _ in range(20):
        cluster.time_out("n1", "heartbeat")
        cluster.settle()
        deadline = min(at for key, (at, _) in cluster.hosts["n1"].timers.items() if key[1] == "lose_quorum")
        assert deadline == cluster.hosts["n1"].now + leader.election_timeout
    assert leader.role == "leader"


def test_a_refusal_of_entries_is_an_answer_too() -> None:
    """Who lacks earlier entries follows all the same."""
    cluster = Cluster(3, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.crash("n2")
    cluster.crash("n3")
    cluster.disks["n2"].commit([("log", "", "log", 1, 1, ())])
    cluster.restart("n2")
    cluster.time_out("n1", "heartbeat")
    cluster.pass_on(AppendEntries, target="n2")
    [refusal] = cluster.waiting(Appended, "n2")
    assert refusal.message.ok is False  # type: ignore[attr-defined]
    cluster.deliver(refusal)
    assert leader.confirmed == 2


def test_answers_to_an_earlier_round_do_not_confirm_a_later_one() -> None:
    cluster = Cluster(3, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    cluster.pass_on(AppendEntries)
    late = cluster.waiting(Appended)
    cluster.time_out("n1", "heartbeat")
    assert (leader.round, leader.confirmed) == (3, 1)
    for answer in late:
        cluster.deliver(answer)
    assert leader.confirmed == 2


def test_who_hears_a_leader_neither_votes_nor_takes_the_term() -> None:
    """4.2.3."""
    cluster = Cluster(3, check_quorum=True)
    elect(cluster, "n1")
    assert request_vote(cluster, "n3", "n2") == []
    assert cluster.node("n2").term == 1
    cluster.hosts["n2"].now += LEAST
    assert request_vote(cluster, "n3", "n2") == [Vote(3, True)]


def test_a_leader_does_not_vote_while_it_leads() -> None:
    cluster = Cluster(3, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.wait(10 * LEAST)
    assert request_vote(cluster, "n3", "n1") == []
    assert leader.term == 1


def test_off_it_lets_a_leader_stay_unheard_and_followers_vote() -> None:
    cluster = Cluster(3)
    elect(cluster, "n1")
    assert "lose_quorum" not in [key[1] for key in cluster.hosts["n1"].timers]
    assert request_vote(cluster, "n3", "n2") == [Vote(2, True)]


def test_a_restart_counts_as_a_word_from_the_leader() -> None:
    """It may have answered a heartbeat the moment before it crashed, and a lease rests on that."""
    cluster = leased()
    elect(cluster, "n1")
    cluster.crash("n2")
    cluster.restart("n2")
    assert request_vote(cluster, "n3", "n2") == []
    cluster.hosts["n2"].now += LEAST - 1
    assert request_vote(cluster, "n3", "n2") == []
    cluster.hosts["n2"].now += 1
    assert request_vote(cluster, "n3", "n2") == [Vote(4, True)]


def test_who_has_never_been_in_a_term_has_promised_nothing() -> None:
    cluster = leased()
    assert request_vote(cluster, "n3", "n2") == [Vote(1, True)]


@pytest.mark.parametrize("prevote", [False, True])
def test_a_leader_that_hears_nobody_makes_way_although_it_is_heard(prevote: bool) -> None:
    """One direction of its links is dead: without check-quorum its heartbeats would keep the others quiet for ever."""
    cluster = Cluster(3, prevote=prevote, check_quorum=True)
    leader = elect(cluster, "n1")
    for _ in range(5):
        cluster.time_out("n1", "heartbeat")
        cluster.pass_on(AppendEntries)
        cluster.drop(cluster.waiting(Appended, target="n1"))
    assert cluster.node("n2").hears_leader()
    cluster.time_out("n1", "lose_quorum")
    assert leader.role == "follower"
    cluster.wait(LEAST)
    cluster.partition(["n1"], ["n2", "n3"])
    assert elect(cluster, "n2").term == 2


# The lease.


def test_a_lease_counts_from_the_beginning_of_the_round_that_a_majority_answered() -> None:
    """6.4.1: not from the answers."""
    cluster = leased()
    leader = set_off(cluster, "n1")
    began = cluster.hosts["n1"].now
    assert not leader.holds_lease()
    cluster.wait(BEAT)
    cluster.settle()
    assert leader.lease_end == began + LEAST
    cluster.hosts["n1"].now = began + LEAST - 1
    assert leader.holds_lease()
    cluster.hosts["n1"].now += 1
    assert not leader.holds_lease()


def test_each_round_that_is_answered_prolongs_it() -> None:
    cluster = leased()
    leader = elect(cluster, "n1")
    for _ in range(5):
        cluster.time_out("n1", "heartbeat")
        cluster.settle()
        assert leader.lease_end == cluster.hosts["n1"].now + LEAST
    assert leader.began == {}


def test_a_minority_prolongs_nothing() -> None:
    cluster = leased(5)
    leader = elect(cluster, "n1")
    end = leader.lease_end
    cluster.partition(["n1", "n2"], ["n3", "n4", "n5"])
    cluster.time_out("n1", "heartbeat")
    cluster.settle()
    assert leader.lease_end == end


def test_answers_out_of_order_do_not_shorten_it() -> None:
    cluster = leased()
    leader = elect(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    cluster.pass_on(AppendEntries)
    early = cluster.waiting(Appended)
    cluster.time_out("n1", "heartbeat")
    cluster.pass_on(AppendEntries)
    for answer in [each for each in cluster.waiting(Appended) if each not in early]:
        cluster.deliver(answer)
    end = leader.lease_end
    assert end == cluster.hosts["n1"].now + LEAST
    for answer in early:
        cluster.deliver(answer)
    assert leader.lease_end == end


@pytest.mark.parametrize(("drift", "length"), [(0, 150_000_000), (1_000, 149_700_299), (300_000, 80_769_230)])
def test_clocks_that_may_drift_shorten_it(drift: int, length: int) -> None:
    """A leader's clock that is slow by the margin runs out before a voter's does that is as fast."""
    cluster = Cluster(3, check_quorum=True, read_mode="lease", max_clock_drift_ppm=drift)
    assert cluster.node("n1").lease_length() == length
    assert length * (1_000_000 + drift) <= LEAST * (1_000_000 - drift)


def test_a_deposed_leader_has_none() -> None:
    cluster = leased()
    leader = elect(cluster, "n1")
    assert leader.holds_lease()
    cluster.store("n3", term=5, terms=(1,))
    cluster.time_out("n1", "heartbeat")
    cluster.settle()
    assert leader.role == "follower"
    assert not leader.holds_lease()


@pytest.mark.parametrize("prevote", [False, True])
def test_no_election_succeeds_while_a_lease_lasts(prevote: bool) -> None:
    """The promise behind it, at the last moment: every follower heard the round as soon as it began."""
    cluster = leased(prevote=prevote)
    leader = elect(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    for host in cluster.hosts.values():
        host.now = cluster.hosts["n1"].now
    cluster.settle()
    cluster.partition(["n1"], ["n2", "n3"])
    cluster.wait(LEAST - 1)
    assert leader.holds_lease()
    cluster.time_out("n3")
    cluster.settle()
    assert cluster.node("n3").role != "leader"
    cluster.wait(1)
    assert not leader.holds_lease()
    cluster.time_out("n3")
    cluster.settle()
    assert cluster.node("n3").role == "leader"


def test_none_of_this_travels_before_votes() -> None:
    """PreVote and check-quorum together: a candidate that nobody would vote for sends no RequestVote."""
    cluster = leased(prevote=True)
    elect(cluster, "n1")
    cluster.time_out("n3")
    cluster.pass_on(PreVote)
    assert cluster.waiting(RequestVote) == []
