"""Check-quorum and the leader's lease, held to sections 4.2.3, 6.2 and 6.4.1 of the thesis."""

from __future__ import annotations

from typing import Any

import pytest

from framework import Answer, Command, Duration, Message, Request
from framework.replication.sessions import OPEN
from framework.testing.cluster import Cluster
from plugins.protocols.raft.messages import (
    Appended,
    AppendEntries,
    PreVote,
    PreVoted,
    RequestVote,
    SnapshotReceived,
    TimeoutNow,
    Vote,
)
from plugins.protocols.raft.node import RaftStatus
from tests.plugins.protocols.raft.cluster import add, administer, elect, length, raft_cluster, set_off, store
from tests.plugins.protocols.raft.tape import Tape

LEAST = Duration("150ms")
BEAT = Duration("50ms")


def leased(size: int = 3, **config: Any) -> Cluster:
    return raft_cluster(size, check_quorum=True, read_mode="lease", max_clock_drift_ppm=0, **config)


def request_vote(cluster: Cluster, candidate: str, voter: str) -> list[Any]:
    """What the voter answers to a candidate whose own patience is at its end."""
    cluster.drop_all()
    cluster.time_out(candidate, "start_election")
    cluster.deliver_all(RequestVote, candidate, voter)
    return [each.message for each in cluster.waiting(Vote, voter)]


# Check-quorum.


def test_a_leader_whose_rounds_go_unanswered_steps_down() -> None:
    """6.2."""
    cluster = raft_cluster(3, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.partition(["n1"], ["n2", "n3"])
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    cluster.time_out("n1", "lose_quorum")
    assert leader.status == RaftStatus(("follower",), term=1, commit=1, first=1, last=1)
    assert ("n1", "stepped_down", {"term": 1}) in cluster.notes
    assert [key[1] for key in cluster.timers("n1")] == ["start_election"]


def test_it_stays_as_long_as_a_majority_answers() -> None:
    cluster = raft_cluster(5, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.partition(["n1", "n2", "n3"], ["n4"], ["n5"])
    for _ in range(20):
        cluster.time_out("n1", "heartbeat")
        cluster.stabilize()
        deadline = min(at for key, at in cluster.timers("n1").items() if key[1] == "lose_quorum")
        assert deadline == cluster.clock("n1") + leader.election_timeout
    assert leader.role == "leader"


def test_a_refusal_of_entries_is_an_answer_too() -> None:
    """Who lacks earlier entries follows all the same."""
    cluster = raft_cluster(3, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.crash("n2")
    cluster.crash("n3")
    cluster.store("n2", log=())
    cluster.restart("n2")
    cluster.time_out("n1", "heartbeat")
    cluster.deliver_all(AppendEntries, to="n2")
    [refusal] = cluster.waiting(Appended, "n2")
    assert refusal.message.ok is False  # type: ignore[attr-defined]
    cluster.deliver(refusal)
    assert leader.rounds.confirmed == 2


def test_answers_to_an_earlier_round_do_not_confirm_a_later_one() -> None:
    cluster = raft_cluster(3, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    cluster.deliver_all(AppendEntries)
    late = cluster.waiting(Appended)
    cluster.time_out("n1", "heartbeat")
    assert (leader.rounds.latest, leader.rounds.confirmed) == (3, 1)
    for answer in late:
        cluster.deliver(answer)
    assert leader.rounds.confirmed == 2


def test_who_hears_a_leader_neither_votes_nor_takes_the_term() -> None:
    """4.2.3."""
    cluster = raft_cluster(3, check_quorum=True)
    elect(cluster, "n1")
    assert request_vote(cluster, "n3", "n2") == []
    assert cluster.node("n2").term == 1
    cluster.advance(LEAST, "n2", fire=False)
    assert request_vote(cluster, "n3", "n2") == [Vote(3, True)]


def test_a_leader_does_not_vote_while_it_leads() -> None:
    cluster = raft_cluster(3, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.advance(10 * LEAST, fire=False)
    assert request_vote(cluster, "n3", "n1") == []
    assert leader.term == 1


def test_off_it_lets_a_leader_stay_unheard_and_followers_vote() -> None:
    cluster = raft_cluster(3)
    elect(cluster, "n1")
    assert "lose_quorum" not in [key[1] for key in cluster.timers("n1")]
    assert request_vote(cluster, "n3", "n2") == [Vote(2, True)]


def test_a_restart_counts_as_a_word_from_the_leader() -> None:
    """It may have answered a heartbeat the moment before it crashed, and a lease rests on that."""
    cluster = leased()
    elect(cluster, "n1")
    cluster.crash("n2")
    cluster.restart("n2")
    assert request_vote(cluster, "n3", "n2") == []
    cluster.advance(LEAST - 1, "n2", fire=False)
    assert request_vote(cluster, "n3", "n2") == []
    cluster.advance(1, "n2", fire=False)
    assert request_vote(cluster, "n3", "n2") == [Vote(4, True)]


def test_who_has_never_been_in_a_term_has_promised_nothing() -> None:
    cluster = leased()
    assert request_vote(cluster, "n3", "n2") == [Vote(1, True)]


@pytest.mark.parametrize("prevote", [False, True])
def test_a_leader_that_hears_nobody_makes_way_although_it_is_heard(prevote: bool) -> None:
    """One direction of its links is dead: without check-quorum its heartbeats would keep the others quiet for ever."""
    cluster = raft_cluster(3, prevote=prevote, check_quorum=True)
    leader = elect(cluster, "n1")
    for _ in range(5):
        cluster.time_out("n1", "heartbeat")
        cluster.deliver_all(AppendEntries)
        cluster.drop_all(Appended, to="n1")
    assert cluster.node("n2").hears_leader()
    cluster.time_out("n1", "lose_quorum")
    assert leader.role == "follower"
    cluster.advance(LEAST, fire=False)
    cluster.partition(["n1"], ["n2", "n3"])
    assert elect(cluster, "n2").term == 2


# The lease.


def test_a_lease_counts_from_the_beginning_of_the_round_that_a_majority_answered() -> None:
    """6.4.1: not from the answers."""
    cluster = leased()
    leader = set_off(cluster, "n1")
    began = cluster.clock("n1")
    assert not leader.holds_lease()
    cluster.advance(BEAT, fire=False)
    cluster.stabilize()
    assert leader.lease.end == began + LEAST
    cluster.advance(began + LEAST - 1 - cluster.clock("n1"), "n1", fire=False)
    assert leader.holds_lease()
    cluster.advance(1, "n1", fire=False)
    assert not leader.holds_lease()


def test_each_round_that_is_answered_prolongs_it() -> None:
    cluster = leased()
    leader = elect(cluster, "n1")
    for _ in range(5):
        cluster.time_out("n1", "heartbeat")
        cluster.stabilize()
        assert leader.lease.end == cluster.clock("n1") + LEAST
    assert not leader.rounds.unconfirmed


def test_a_minority_prolongs_nothing() -> None:
    cluster = leased(5)
    leader = elect(cluster, "n1")
    end = leader.lease.end
    cluster.partition(["n1", "n2"], ["n3", "n4", "n5"])
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert leader.lease.end == end


def test_answers_out_of_order_do_not_shorten_it() -> None:
    cluster = leased()
    leader = elect(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    cluster.deliver_all(AppendEntries)
    early = cluster.waiting(Appended)
    cluster.time_out("n1", "heartbeat")
    cluster.deliver_all(AppendEntries)
    for answer in [each for each in cluster.waiting(Appended) if each not in early]:
        cluster.deliver(answer)
    end = leader.lease.end
    assert end == cluster.clock("n1") + LEAST
    for answer in early:
        cluster.deliver(answer)
    assert leader.lease.end == end


@pytest.mark.parametrize(("drift", "length"), [(0, 150_000_000), (1_000, 149_700_299), (300_000, 80_769_230)])
def test_clocks_that_may_drift_shorten_it(drift: int, length: int) -> None:
    """A leader's clock that is slow by the margin runs out before a voter's does that is as fast."""
    cluster = raft_cluster(3, check_quorum=True, read_mode="lease", max_clock_drift_ppm=drift)
    assert cluster.node("n1").lease_duration() == length
    assert length * (1_000_000 + drift) <= LEAST * (1_000_000 - drift)


def test_a_deposed_leader_has_none() -> None:
    cluster = leased()
    leader = elect(cluster, "n1")
    assert leader.holds_lease()
    store(cluster, "n3", term=5, terms=(1,))
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert leader.role == "follower"
    assert not leader.holds_lease()


@pytest.mark.parametrize("prevote", [False, True])
def test_no_election_succeeds_while_a_lease_lasts(prevote: bool) -> None:
    """The promise behind it, at the last moment: every follower heard the round as soon as it began."""
    cluster = leased(prevote=prevote)
    leader = elect(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    for server in cluster.servers:
        cluster.advance(cluster.clock("n1") - cluster.clock(server), server, fire=False)
    cluster.stabilize()
    cluster.partition(["n1"], ["n2", "n3"])
    cluster.advance(LEAST - 1, fire=False)
    assert leader.holds_lease()
    cluster.time_out("n3", "start_election")
    cluster.stabilize()
    assert cluster.node("n3").role != "leader"
    cluster.advance(1, fire=False)
    assert not leader.holds_lease()
    cluster.time_out("n3", "start_election")
    cluster.stabilize()
    assert cluster.node("n3").role == "leader"


def test_none_of_this_travels_before_votes() -> None:
    """PreVote and check-quorum together: a candidate that nobody would vote for sends no RequestVote."""
    cluster = leased(prevote=True)
    elect(cluster, "n1")
    cluster.time_out("n3", "start_election")
    cluster.deliver_all(PreVote)
    assert cluster.waiting(RequestVote) == []


# A voter whose term something other than a candidate has raised.


def receive(cluster: Cluster, sender: str, to: str, message: Message) -> None:
    """The message arrives, as one that a slow network delivers late."""
    cluster.deliver(cluster.send(sender, to, message))


def renew_lease(cluster: Cluster) -> None:
    """n1 leads three servers and loses its link to n3: n2 alone answers its next round."""
    cluster.time_out("n1", "heartbeat")
    cluster.drop_all(AppendEntries, "n1", "n3")
    cluster.deliver_all(AppendEntries, "n1", "n2")
    cluster.deliver_all(Appended, "n2", "n1")
    assert cluster.node("n1").holds_lease() and cluster.node("n2").hears_leader()


@pytest.mark.parametrize(
    "answer",
    [Vote(2, False), PreVoted(2, False), Appended(2, False, 0), SnapshotReceived(2, 1, 0)],
    ids=lambda answer: type(answer).__name__,
)
@pytest.mark.parametrize("restarted", [False, True])
def test_who_hears_a_leader_does_not_vote_in_the_term_that_an_answer_has_raised_either(
    answer: Message, restarted: bool
) -> None:
    """4.2.3 protects the leader that is heard, not the term that it leads."""
    cluster = leased(own_clocks=False)
    elect(cluster, "n1")
    renew_lease(cluster)
    receive(cluster, "n3", "n2", answer)
    assert cluster.node("n2").term == 2
    if restarted:
        cluster.crash("n2")
        cluster.restart("n2")
    receive(cluster, "n3", "n2", RequestVote(2, 1, 1))
    assert cluster.waiting(Vote, "n2") == [] and cluster.node("n2").voted_for is None
    cluster.advance(LEAST, fire=False)
    assert not cluster.node("n1").holds_lease()
    receive(cluster, "n3", "n2", RequestVote(2, 1, 1))
    assert [each.message for each in cluster.waiting(Vote, "n2")] == [Vote(2, True)]


def test_a_read_by_lease_misses_no_write_although_a_late_vote_raised_a_voters_term() -> None:
    """6.4.1, with clocks that agree: n2 would vote for n3 in the term that n3 itself has told it of."""
    cluster = leased(own_clocks=False)
    leader, voter, candidate = (cluster.node(server) for server in cluster.servers)
    # n1 and n2 stand in term 1. n2's request to n3 is slow, and n3 votes for n1.
    cluster.time_out("n2", "start_election")
    [slow] = cluster.waiting(RequestVote, "n2", "n3")
    cluster.envelopes.remove(slow)
    cluster.drop_all(RequestVote, "n2", "n1")
    cluster.time_out("n1", "start_election")
    cluster.stabilize()
    assert (leader.role, leader.term) == ("leader", 1)
    cluster.deliver(cluster.send("c1", "n1", Request(1, Command(0, OPEN, b""))))
    cluster.stabilize()
    session = leader.commit
    cluster.deliver(cluster.send("c1", "n1", Request(2, add(session, 1, "old"))))
    cluster.stabilize()
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()

    # The link from n1 to n3 is lost. n3 stands in term 2, and its request is on its way to n2, which hears n1.
    due = cluster.timers("n3")[("", "start_election", ())]
    while cluster.clock("n3") < due - BEAT:
        renew_lease(cluster)
    cluster.time_out("n3", "start_election")
    cluster.deliver_all(Vote, "n3", "n3")
    [request] = cluster.waiting(RequestVote, "n3", "n2")
    renew_lease(cluster)

    # The slow request reaches n3, whose refusal takes n2 into term 2. Then comes n3's own.
    cluster.envelopes.append(slow)
    cluster.deliver(slow)
    cluster.deliver_all(Vote, "n3", "n2")
    assert (voter.term, voter.hears_leader()) == (2, True)
    cluster.deliver(request)
    cluster.deliver_all(Vote, "n2", "n3")
    assert candidate.role == "candidate"
    cluster.deliver(cluster.send("c3", "n1", length(4)))
    [answer] = cluster.waiting(Answer, "n1", "c3")
    assert Tape.result(answer.message.result) == 1  # type: ignore[attr-defined]

    # Once n1's lease is over n3 may lead, and n1 answers no read by its lease.
    cluster.advance(LEAST, fire=False)
    cluster.time_out("n3", "start_election")
    cluster.deliver_all(RequestVote, "n3", "n2")
    cluster.deliver_all(Vote, to="n3")
    assert candidate.role == "leader" and not leader.holds_lease()
    cluster.deliver(cluster.send("c4", "n1", length(5)))
    assert cluster.waiting(Answer, "n1", "c4") == []


@pytest.mark.parametrize("raised", [False, True])
def test_prevotes_collected_before_the_leader_was_heard_win_no_votes_within_its_lease(raised: bool) -> None:
    """9.6: a PreVoted promises nothing. Its giver hears the leader in between, and then votes for nobody.

    `raised`: what n3 refuses n2 in return takes n2 into the candidate's term on top.
    """
    cluster = leased(prevote=True, own_clocks=False)
    leader = elect(cluster, "n1")
    candidate, voter = cluster.node("n3"), cluster.node("n2")
    # For a while n1 reaches nobody: n2 and n3 ask each other, n3 is granted what it asks and does not know it yet.
    cluster.advance(LEAST, fire=False)
    cluster.time_out("n2", "start_election")
    [slow] = cluster.waiting(PreVote, "n2", "n3")
    cluster.time_out("n3", "start_election")
    cluster.deliver_all(PreVote, "n3", "n2")
    [granted] = cluster.waiting(PreVoted, "n2", "n3")
    assert granted.message == PreVoted(2, True)
    # n2 hears n1 again, whose lease begins anew.
    assert leader.role == "leader" and not leader.holds_lease()
    renew_lease(cluster)
    cluster.deliver(granted)
    cluster.deliver_all(Vote, "n3", "n3")
    assert (candidate.role, candidate.term) == ("candidate", 2)
    if raised:
        cluster.deliver(slow)
        cluster.deliver_all(PreVoted, "n3", "n2")
        assert (voter.term, voter.hears_leader()) == (2, True)
    cluster.deliver_all(RequestVote, "n3", "n2")
    cluster.deliver_all(Vote, "n2", "n3")
    assert candidate.role == "candidate" and leader.holds_lease()
    assert voter.voted_for != "n3"


def test_a_vote_that_was_given_stands_and_its_loss_is_mended_by_a_request_that_comes_twice() -> None:
    """The voter was free when it voted. That it restarts since, and must assume that it hears a leader, takes nothing back."""
    cluster = leased(own_clocks=False)
    elect(cluster, "n1")
    cluster.advance(LEAST, fire=False)
    cluster.time_out("n3", "start_election")
    [request] = cluster.waiting(RequestVote, "n3", "n2")
    cluster.deliver(request)
    cluster.drop_all(Vote, "n2", "n3")
    cluster.crash("n2")
    cluster.restart("n2")
    voter = cluster.node("n2")
    assert (voter.term, voter.voted_for, voter.hears_leader()) == (2, "n3", True)
    for candidate, granted in (("n3", True), ("n1", False)):
        receive(cluster, candidate, "n2", request.message)
        assert [each.message for each in cluster.waiting(Vote, "n2", candidate)] == [Vote(2, granted)]
    assert (voter.term, voter.voted_for) == (2, "n3")


def test_a_transfer_is_voted_for_in_a_raised_term_too() -> None:
    """3.10: the leader gave up its lease before it told its successor to stand."""
    cluster = leased()
    leader = elect(cluster, "n1")
    administer(cluster, "n1", 7, "transfer_leader", "n3")
    cluster.deliver_all(AppendEntries)
    cluster.deliver_all(Appended)
    cluster.deliver_all(TimeoutNow)
    assert not leader.holds_lease()
    receive(cluster, "n3", "n2", Vote(2, False))
    assert (cluster.node("n2").term, cluster.node("n2").hears_leader()) == (2, True)
    cluster.deliver_all(RequestVote, "n3", "n2")
    assert [each.message for each in cluster.waiting(Vote, "n2")] == [Vote(2, True)]
    cluster.stabilize()
    assert cluster.node("n3").role == "leader"
