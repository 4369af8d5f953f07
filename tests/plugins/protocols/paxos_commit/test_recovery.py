"""Failures: lost votes, leaders and acceptors that die, ballots that compete, participants that come back."""

from __future__ import annotations

import pytest

from framework import MILLISECOND, Ballot, CommitReply, CommitRequest, CommitVote, Ok, Proposal, Transaction, Vow
from framework.testing.cluster import Cluster
from plugins.protocols.paxos_commit.messages import (
    Decided,
    Inquire,
    Nack,
    Phase1a,
    Phase1b,
    Phase2a,
    Phase2b,
    Prepare,
)
from plugins.protocols.paxos_commit.node import undecided
from tests.plugins.protocols.paxos_commit.clusters import CO_LOCATED, cluster, commit, decided, participants, votes

TWO_LEADERS = "protocol.coordinators=2"
"""Leaders n1 n2, acceptors n3 n4 n5, participants n6 n7."""


def prepared(cut: Cluster) -> int:
    """Begins a transaction whose participants vote, and loses all votes; returns its id."""
    transaction = commit(cut)
    cut.deliver(CommitRequest)
    cut.deliver_all(Prepare)
    cut.drop_all(Phase2a)
    return transaction


def in_doubt(cut: Cluster, participant: str) -> None:
    """Has a participant wait until it asks its first question."""
    cut.time_out(participant, "press")
    cut.drop_all(Phase2a)
    cut.time_out(participant, "press")


def proposals(ballot: Ballot, **values: str) -> tuple[tuple[str, Proposal], ...]:
    return tuple((participant, Proposal(ballot, value)) for participant, value in values.items())


# Acceptors.


def test_a_vote_goes_to_all_acceptors_after_a_while() -> None:
    cut = cluster(6)
    commit(cut)
    cut.crash("n2")
    cut.stabilize()
    assert decided(cut) == {}
    for participant in ("n5", "n6"):
        cut.time_out(participant, "press")
    assert {each.to for each in cut.waiting(Phase2a)} == {"n2", "n3", "n4"}
    cut.stabilize()
    assert cut.outcomes == {0: Ok("committed")}


def test_an_acceptor_remembers_what_it_has_accepted() -> None:
    cut = cluster(6)
    commit(cut)
    for kind in (CommitRequest, Prepare, Phase2a):
        cut.deliver_all(kind)
    cut.drop_all(Phase2b)
    for acceptor in ("n2", "n3"):
        cut.crash(acceptor)
        cut.restart(acceptor)
    cut.deliver(cut.send("n1", "n2", Phase1a(0, Ballot(1, "n1"), ("n5", "n6"))))
    (promise,) = cut.waiting(Phase1b)
    assert promise.message == Phase1b(
        0, Ballot(1, "n1"), (*proposals(Ballot(0, "n5"), n5="prepared"), *proposals(Ballot(0, "n6"), n6="prepared"))
    )


def test_an_acceptor_that_crashes_with_a_bundle_has_promised_nothing() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver(CommitRequest)
    cut.deliver_all(Prepare)
    cut.deliver(Phase2a, "n5", "n2")
    cut.crash("n2")
    cut.restart("n2")
    assert cut.stored("n2") == {}
    cut.stabilize()
    assert decided(cut) == {}
    for participant in ("n5", "n6"):
        cut.time_out(participant, "press")
    cut.stabilize()
    assert cut.outcomes == {0: Ok("committed")}


def test_an_acceptor_accepts_its_bundle_before_it_promises_a_leader() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver(CommitRequest)
    cut.deliver_all(Prepare)
    cut.deliver(Phase2a, "n5", "n2")
    cut.deliver(cut.send("n1", "n2", Phase1a(0, Ballot(1, "n1"), ("n5", "n6"))))
    (promise,) = cut.waiting(Phase1b)
    assert promise.message == Phase1b(0, Ballot(1, "n1"), proposals(Ballot(0, "n5"), n5="prepared"))
    assert "close_bundle" not in {timer for _, timer, _ in cut.timers("n2")}


def test_a_vote_that_comes_after_a_promise_is_not_accepted() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver(CommitRequest)
    cut.deliver_all(Prepare)
    cut.deliver(cut.send("n1", "n2", Phase1a(0, Ballot(1, "n1"), ("n5", "n6"))))
    cut.deliver_all(Phase2a, to="n2")
    assert cut.node("n2").vow(0, "n5") == Vow(Ballot(1, "n1"), None)
    assert cut.waiting(Phase2b) == [] and cut.node("n2").bundles == {}


def test_a_leader_below_a_promise_is_refused_in_both_phases() -> None:
    cut = cluster(8, TWO_LEADERS)
    everyone = participants(cut)
    cut.deliver(cut.send("n2", "n3", Phase1a(0, Ballot(2, "n2"), everyone)))
    cut.deliver(cut.send("n1", "n3", Phase1a(0, Ballot(1, "n1"), everyone)))
    values = tuple((each, Proposal(Ballot(1, "n1"), "aborted")) for each in everyone)
    cut.deliver(cut.send("n1", "n3", Phase2a(0, everyone, "n1", values)))
    refusals = [each.message for each in cut.waiting(Nack, to="n1")]
    assert refusals == [Nack(0, Ballot(1, "n1"), Ballot(2, "n2"))] * 2
    assert cut.node("n3").vow(0, everyone[0]) == Vow(Ballot(2, "n2"), None)


def test_a_repeated_vote_is_answered_again_without_a_write() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver(CommitRequest)
    cut.deliver_all(Prepare)
    copies = [cut.duplicate(Phase2a, node, "n2") for node in ("n5", "n6")]
    cut.drop_all(Phase2b)
    cut.clear_log()
    assert len(copies) == 2
    cut.deliver_all(Phase2a, to="n2")
    assert [len(each.message.accepted) for each in cut.waiting(Phase2b)] == [2, 2]  # type: ignore[attr-defined]
    assert not any("commits" in line for line in cut.log)


# The leader's own ballots.


def test_a_leader_aborts_for_a_participant_whose_instance_is_free() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver(CommitRequest)
    cut.crash("n6")
    cut.stabilize()
    cut.time_out("n1", "take_over")
    cut.stabilize()
    assert cut.outcomes == {0: Ok("aborted")}
    assert decided(cut) == {"n1": "aborted", "n5": "aborted"}
    assert ("n1", "free", {"transaction": 0, "participant": "n6", "ballot": "1.n1"}) in cut.notes
    cut.restart("n6")
    cut.deliver(cut.send("n1", "n6", Prepare(0, Transaction(0, "x", votes(("n5", "n6"))))))
    cut.stabilize()
    for timer in ("press", "press"):
        cut.time_out("n6", timer)
        cut.stabilize()
    assert decided(cut) == dict.fromkeys(("n1", "n5", "n6"), "aborted")


def test_a_leader_adopts_votes_that_one_acceptor_of_its_quorum_has_accepted() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver(CommitRequest)
    cut.deliver_all(Prepare)
    cut.drop_all(Phase2a, to="n3")
    cut.deliver_all(Phase2a)
    cut.drop_all(Phase2b)
    cut.time_out("n1", "take_over")
    cut.stabilize()
    assert cut.outcomes == {0: Ok("committed")}
    assert [name for _, name, _ in cut.notes if name in ("adopted", "free")] == ["adopted", "adopted"]


def test_phase_1_is_one_message_for_all_instances() -> None:
    cut = cluster(9)
    prepared(cut)
    cut.time_out("n1", "take_over")
    assert [each.to for each in cut.waiting(Phase1a)] == ["n2", "n3", "n4"]
    cut.deliver_all(Phase1a)
    assert len(cut.waiting(Phase1b)) == 3
    cut.deliver_all(Phase1b)
    assert [each.to for each in cut.waiting(Phase2a)] == ["n2", "n3", "n4"]


def test_no_proposal_of_a_ballot_leaves_before_its_round_is_durable() -> None:
    cut = cluster(6)
    prepared(cut)
    cut.slow_disk("n1")
    cut.time_out("n1", "take_over")
    assert cut.waiting(Phase1a) == []
    cut.crash("n1")
    assert cut.stored("n1") == {}
    cut.restart("n1")
    cut.fast_disk("n1")
    in_doubt(cut, "n5")
    cut.deliver(Inquire)
    assert {each.message.ballot for each in cut.waiting(Phase1a)} == {Ballot(1, "n1")}  # type: ignore[attr-defined]
    cut.crash("n1")
    cut.restart("n1")
    in_doubt(cut, "n6")
    cut.drop_all(Phase1a)
    cut.deliver(Inquire)
    assert {each.message.ballot for each in cut.waiting(Phase1a)} == {Ballot(2, "n1")}  # type: ignore[attr-defined]


def test_votes_of_different_ballots_are_not_counted_together() -> None:
    cut = cluster(6)
    for acceptor, ballot in (("n2", Ballot(0, "n5")), ("n3", Ballot(1, "n1"))):
        accepted = (("n5", Proposal(ballot, "aborted")),)
        cut.deliver(cut.send(acceptor, "n1", Phase2b(0, ("n5", "n6"), accepted)))
    assert decided(cut) == {}
    cut.deliver(cut.send("n4", "n1", Phase2b(0, ("n5", "n6"), accepted)))
    assert decided(cut) == {"n1": "aborted"}


# Leaders that die.


@pytest.mark.parametrize("faster", ["false", "true"])
def test_another_leader_finishes_what_the_first_began(faster: str) -> None:
    cut = cluster(8, TWO_LEADERS, f"protocol.faster={faster}")
    prepared(cut)
    cut.crash("n1")
    for participant in participants(cut):
        cut.time_out(participant, "press")
    cut.deliver_all(Phase2a)
    cut.drop_all(Phase2b)
    cut.time_out("n6", "press")  # asks n1
    assert ("n6", "blocked", {"transaction": 0}) in cut.notes
    cut.drop_all(Inquire)
    cut.time_out("n6", "press")
    assert [(each.sender, each.to) for each in cut.waiting(Inquire)] == [("n6", "n2")]
    cut.stabilize()
    assert set(decided(cut).items()) >= {(node, "committed") for node in participants(cut)}
    assert ("n6", "unblocked", {"transaction": 0}) in cut.notes
    cut.run(lambda: 0 in cut.outcomes)
    assert cut.outcomes == {0: Ok("committed")}


def test_a_transaction_that_nobody_voted_on_is_aborted_or_begun_again_but_never_both() -> None:
    cut = cluster(8, TWO_LEADERS)
    commit(cut)
    cut.crash("n1")
    cut.drop_all(CommitRequest)
    cut.time_out("c1", "ask")
    assert [each.to for each in cut.waiting(CommitRequest)] == ["n2"]
    cut.stabilize()
    assert cut.outcomes == {0: Ok("committed")}


def test_the_participants_lead_where_there_are_no_other_leaders() -> None:
    cut = cluster(5, *CO_LOCATED, "protocol.faults=1")
    commit(cut)
    cut.deliver(CommitRequest)
    cut.deliver_all(Prepare)
    cut.crash("n1")
    cut.drop_all(Phase2a)
    in_doubt(cut, "n3")
    cut.drop_all(Inquire)
    cut.time_out("n3", "press")
    assert [(each.sender, each.to) for each in cut.waiting(Inquire)] == [("n3", "n2")]
    cut.stabilize()
    assert decided(cut) == dict.fromkeys(("n2", "n3", "n4", "n5"), "aborted")
    cut.restart("n1")
    assert undecided({node.id: node for node in cut.nodes()}) == "transaction 0 is in doubt at n1"
    cut.time_out("n1", "press")  # its vote goes to all acceptors, and those that know answer it
    cut.stabilize()
    assert decided(cut)["n1"] == "aborted"
    assert undecided({node.id: node for node in cut.nodes()}) is None


def test_a_leader_that_has_lost_its_memory_takes_a_transaction_on_again() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver(CommitRequest)
    cut.deliver_all(Prepare)
    cut.crash("n1")
    cut.stabilize()
    cut.restart("n1")
    for asked in ("n5", "n1"):
        cut.time_out("c1", "ask")
        assert [each.to for each in cut.waiting(CommitRequest)] == [asked]
        cut.drop_all(Phase2a)
        cut.stabilize()
    assert cut.outcomes == {0: Ok("committed")}


def test_a_leader_without_memory_hears_the_decision_from_the_participants() -> None:
    cut = cluster(6)
    commit(cut)
    cut.stabilize()
    cut.crash("n1")
    cut.restart("n1")
    assert decided(cut) == dict.fromkeys(("n5", "n6"), "committed")
    cut.deliver(cut.send("c9", "n1", CommitRequest(0, Transaction(0, "x", votes(("n5", "n6"))))))
    cut.stabilize()
    assert decided(cut)["n1"] == "committed"
    assert len(cut.inbox["c9"]) == 1


def test_leaders_that_compete_decide_alike() -> None:
    cut = cluster(8, TWO_LEADERS)
    transaction = prepared(cut)
    content = Transaction(transaction, "x", votes(participants(cut)))
    for leader in ("n1", "n2"):
        cut.deliver(cut.send("n6", leader, Inquire(transaction, content)))
    cut.deliver_all(Phase1a, sender="n1")
    cut.deliver_all(Phase1b)
    cut.deliver_all(Phase1a, sender="n2")  # before the values of n1 arrive
    cut.deliver_all(Phase2a, sender="n1")
    cut.deliver_all(Nack)
    assert ("n1", "refused", {"transaction": 0, "ballot": "1.n1", "promised": "1.n2"}) in cut.notes
    cut.time_out("n1", "take_over")
    assert {each.message.ballot for each in cut.waiting(Phase1a)} == {Ballot(2, "n1")}  # type: ignore[attr-defined]
    cut.run(lambda: len(decided(cut)) == len(participants(cut)) + 2)
    assert set(decided(cut).values()) == {"aborted"}


def test_a_minority_of_refusals_does_not_end_a_ballot() -> None:
    cut = cluster(6)
    prepared(cut)
    cut.time_out("n1", "take_over")
    cut.drop_all(Phase1a, to="n4")
    cut.deliver(cut.send("n4", "n1", Nack(0, Ballot(1, "n1"), Ballot(7, "n9"))))
    cut.stabilize()
    assert cut.outcomes == {0: Ok("aborted")}


def test_it_waits_while_a_quorum_of_acceptors_is_missing_and_goes_on_with_it() -> None:
    cut = cluster(8, TWO_LEADERS)
    commit(cut)
    cut.deliver(CommitRequest)
    cut.deliver_all(Prepare)
    for acceptor in ("n3", "n4"):
        cut.crash(acceptor)
    for _ in range(5):
        cut.stabilize()
        cut.advance(100 * MILLISECOND)
    assert decided(cut) == {}
    running = {node.id: node for node in cut.nodes()}
    assert not running["n6"].can_serve(running)
    assert undecided(running) is None  # nothing is promised
    cut.restart("n3")
    cut.run(lambda: len(decided(cut)) >= 3)
    assert len(set(decided(cut).values())) == 1


@pytest.mark.parametrize("vote", ["yes", "read-only"])
def test_faster_ends_a_transaction_whose_only_voters_have_failed(vote: CommitVote) -> None:
    cut = cluster(6, "protocol.faster=true")
    cut.crash("n5")
    cut.invoke("c1", "commit", "x", (("n5", vote),))
    cut.run(lambda: 0 in cut.outcomes)
    assert cut.outcomes == {0: Ok("aborted")}
    assert ("n1", "took_over", {"transaction": 0, "ballot": "1.n1"}) in cut.notes


@pytest.mark.parametrize("others", [("n5",), ("n5", "n6")])
def test_faster_answers_a_client_whose_transaction_failed_nodes_alone_have_decided(others: tuple[str, ...]) -> None:
    cut = cluster(6, "protocol.faster=true")
    cut.invoke("c1", "commit", "x", tuple((node, "yes") for node in others))
    cut.run(lambda: set(others) <= decided(cut).keys())
    cut.drop_all(CommitReply)
    for node in others:
        cut.crash(node)
    cut.run(lambda: 0 in cut.outcomes)
    assert cut.outcomes == {0: Ok("committed")}
    assert cut.node("n1").forgotten == set()


# Participants that come back.


def test_a_participant_keeps_its_vote_and_its_lock_and_asks_again() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver(CommitRequest)
    cut.deliver_all(Prepare)
    cut.crash("n5")
    cut.restart("n5")
    assert cut.node("n5").locks == {"x": 0}
    cut.deliver(cut.send("n1", "n5", Prepare(0, Transaction(0, "x", votes(("n5", "n6"), n5="no")))))
    vote = (("n5", Proposal(Ballot(0, "n5"), "prepared")),)
    assert cut.waiting(Phase2a, "n5")[-1].message.proposals == vote  # type: ignore[attr-defined]
    cut.stabilize()
    assert decided(cut)["n5"] == "committed"
    assert cut.node("n5").locks == {}


def test_a_vote_of_no_is_final() -> None:
    cut = cluster(6)
    commit(cut, n5="no")
    cut.deliver(CommitRequest)
    cut.deliver_all(Prepare)
    cut.crash("n5")
    cut.restart("n5")
    cut.drop_all(Decided)
    cut.deliver(cut.send("n1", "n5", Prepare(0, Transaction(0, "x", votes(("n5", "n6"))))))
    assert [each.message for each in cut.waiting(Decided, "n5")] == [Decided(0, "aborted")]
    cut.stabilize()
    assert cut.outcomes == {0: Ok("aborted")}


def test_a_participant_that_does_not_know_yet_answers_the_client_later() -> None:
    cut = cluster(6)
    prepared(cut)
    cut.deliver(cut.send("c9", "n5", CommitRequest(0, Transaction(0, "x", votes(("n5", "n6"))))))
    assert cut.inbox == {}
    cut.deliver(cut.send("n1", "n5", Decided(0, "aborted")))
    cut.deliver_all(to="c9")
    assert len(cut.inbox["c9"]) == 1


def test_a_decision_that_comes_twice_changes_nothing() -> None:
    cut = cluster(6)
    commit(cut)
    for kind in (CommitRequest, Prepare, Phase2a, Phase2b):
        cut.deliver_all(kind)
    cut.duplicate(Decided, to="n5")
    cut.stabilize()
    cut.clear_log()
    cut.deliver(cut.send("n2", "n5", Decided(0, "committed")))
    assert not any("commits" in line for line in cut.log)


def test_two_decisions_are_an_error_and_not_a_choice() -> None:
    cut = cluster(6)
    cut.deliver(cut.send("n1", "n5", Decided(0, "aborted")))
    with pytest.raises(AssertionError, match="transaction 0 is aborted, and then committed"):
        cut.deliver(cut.send("n1", "n5", Decided(0, "committed")))
