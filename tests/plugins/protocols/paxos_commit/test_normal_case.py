"""The normal case: its messages, forced writes and delays as Gray and Lamport count them, and what each node says."""

from __future__ import annotations

from collections import Counter

import pytest

from framework import Ballot, CommitReply, Ok, Proposal
from plugins.protocols.paxos_commit.messages import Decided, Phase2a, Phase2b, Prepare
from tests.plugins.protocols.paxos_commit.clusters import (
    CO_LOCATED,
    cluster,
    commit,
    decided,
    delays,
    messages,
    participants,
    votes,
    writes,
)

SIZES = [(n, f) for f in (0, 1, 2) for n in (1, 2, 3, 5, 10)]
CO_LOCATED_SIZES = [(n, f) for n, f in SIZES if n >= f + 1]


@pytest.mark.parametrize(("n", "f"), SIZES)
def test_messages_with_a_leader_and_acceptors_of_their_own(n: int, f: int) -> None:
    """N Prepare, F+1 votes of each of N participants, F+1 bundles, N decisions: (N+1)(F+3)-2."""
    cut = cluster(1 + 2 * f + 1 + n, f"protocol.faults={f}")
    transaction = commit(cut)
    found = messages(cut)
    assert found == {"Prepare": n, "Phase2a": n * (f + 1), "Phase2b": f + 1, "Decided": n}
    assert found.total() == (n + 1) * (f + 3) - 2
    assert cut.outcomes == {transaction: Ok("committed")}


@pytest.mark.parametrize(("n", "f"), SIZES)
def test_messages_of_faster_paxos_commit(n: int, f: int) -> None:
    """Each of F+1 bundles goes to N participants in place of the leader, which sends no decision: N(2F+3)."""
    cut = cluster(1 + 2 * f + 1 + n, f"protocol.faults={f}", "protocol.faster=true")
    transaction = commit(cut)
    found = messages(cut)
    assert found == {"Prepare": n, "Phase2a": n * (f + 1), "Phase2b": n * (f + 1)}
    assert found.total() == n * (2 * f + 3)
    assert cut.outcomes == {transaction: Ok("committed")}
    assert decided(cut) == dict.fromkeys(participants(cut), "committed")


@pytest.mark.parametrize(("n", "f"), SIZES)
def test_a_leader_on_an_acceptors_machine_saves_one_message(n: int, f: int) -> None:
    cut = cluster(
        2 * f + 1 + n, f"protocol.faults={f}", "protocol.acceptors=coordinators", f"protocol.coordinators={2 * f + 1}"
    )
    commit(cut)
    assert messages(cut).total() == (n + 1) * (f + 3) - 3


@pytest.mark.parametrize(("n", "f"), CO_LOCATED_SIZES)
def test_messages_where_participants_lead_and_accept(n: int, f: int) -> None:
    """N-1 Prepare, of N(F+1) votes all but those of the F+1 acceptors to themselves, F bundles, N-1 decisions: N(F+3)-3."""
    cut = cluster(n, f"protocol.faults={f}", *CO_LOCATED)
    commit(cut)
    found = messages(cut)
    expected = {"Prepare": n - 1, "Phase2a": (n - 1) * (f + 1), "Phase2b": f, "Decided": n - 1}
    assert found == Counter(expected)
    assert found.total() == n * (f + 3) - 3


@pytest.mark.parametrize(("n", "f"), CO_LOCATED_SIZES)
def test_messages_of_faster_paxos_commit_where_participants_lead_and_accept(n: int, f: int) -> None:
    """Each of F+1 bundles goes to the N-1 other participants: (N-1)(2F+3)."""
    cut = cluster(n, f"protocol.faults={f}", "protocol.faster=true", *CO_LOCATED)
    commit(cut)
    assert messages(cut).total() == (n - 1) * (2 * f + 3)
    assert decided(cut) == dict.fromkeys(participants(cut), "committed")


def test_five_participants_and_one_fault_as_in_the_papers_table() -> None:
    for faster, expected in (("false", 17), ("true", 20)):
        cut = cluster(5, f"protocol.faster={faster}", *CO_LOCATED)
        commit(cut)
        assert messages(cut).total() == expected


@pytest.mark.parametrize("n", [1, 2, 5])
def test_with_one_acceptor_on_the_leaders_machine_it_is_two_phase_commit(n: int) -> None:
    """Prepare, vote, decision: 3N, or 3N-3 if the coordinator is a participant (section 5)."""
    on_one = ("protocol.faults=0", "protocol.acceptors=coordinators")
    for nodes, settings, expected in ((1 + n, on_one, 3 * n), (n, ("protocol.faults=0", *CO_LOCATED), 3 * n - 3)):
        cut = cluster(nodes, *settings)
        commit(cut)
        assert messages(cut).total() == expected


@pytest.mark.parametrize("faster", ["false", "true"])
@pytest.mark.parametrize(("nodes", "settings", "n"), [(9, (), 5), (5, CO_LOCATED, 5)], ids=["separate", "co-located"])
def test_forced_writes(nodes: int, settings: tuple[str, ...], n: int, faster: str) -> None:
    """N votes, and F+1 acceptors with one write each for all N; what participants write when they commit is apart."""
    cut = cluster(nodes, f"protocol.faster={faster}", *settings)
    commit(cut)
    cut.clear_log()
    messages(cut)
    found: Counter[str] = Counter()
    for (_, cause), count in writes(cut).items():
        found[cause] += count
    deciding = "Phase2b" if faster == "true" else "Decided"
    at_the_leader = {"Phase2b": 1} if settings and faster == "false" else {}
    assert found == {"Prepare": n, "Phase2a": 2, deciding: n - len(at_the_leader)} | at_the_leader


@pytest.mark.parametrize(("faster", "expected"), [("false", 4), ("true", 3)])
@pytest.mark.parametrize(("nodes", "settings"), [(9, ()), (5, CO_LOCATED)], ids=["separate", "co-located"])
def test_message_delays_after_the_leader_has_the_request(
    nodes: int, settings: tuple[str, ...], faster: str, expected: int
) -> None:
    """Prepare, vote, bundle, decision. The request is the fifth, if the leader is another node than the initiator."""
    cut = cluster(nodes, f"protocol.faster={faster}", *settings)
    commit(cut)
    cut.deliver("CommitRequest")
    everyone = set(participants(cut))
    assert delays(cut, lambda: everyone <= set(decided(cut))) == expected


# What each node says.


def test_a_vote_leaves_when_it_is_durable_and_goes_to_as_many_acceptors_as_must_accept_it() -> None:
    cut = cluster(6)  # a leader n1, acceptors n2 n3 n4, participants n5 n6
    commit(cut)
    cut.deliver("CommitRequest")
    cut.slow_disk("n5")
    cut.deliver(Prepare, to="n5")
    assert cut.waiting(sender="n5") == []
    cut.finish_commit("n5")
    vote = Phase2a(0, ("n5", "n6"), "n1", (("n5", Proposal(Ballot(0, "n5"), "prepared")),))
    assert [(each.to, each.message) for each in cut.waiting(sender="n5")] == [("n2", vote), ("n3", vote)]


def test_an_acceptor_waits_for_all_votes_and_accepts_them_with_one_commit() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver("CommitRequest")
    cut.deliver_all(Prepare)
    cut.deliver(Phase2a, "n5", "n2")
    assert cut.stored("n2") == {} and cut.waiting(Phase2b) == []
    cut.deliver(Phase2a, "n6", "n2")
    assert set(cut.stored("n2")[""]["vows"]) == {"0/n5", "0/n6"}
    (bundle,) = cut.waiting(Phase2b)
    accepted = tuple((node, Proposal(Ballot(0, node), "prepared")) for node in ("n5", "n6"))
    assert (bundle.to, bundle.message) == ("n1", Phase2b(0, ("n5", "n6"), accepted))


def test_an_acceptor_sends_what_it_has_after_a_while_and_all_of_it_again_with_later_votes() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver("CommitRequest")
    cut.deliver_all(Prepare)
    cut.deliver(Phase2a, "n5", "n2")
    cut.time_out("n2", "close_bundle")
    assert [node for node, _ in cut.waiting(Phase2b)[0].message.accepted] == ["n5"]  # type: ignore[attr-defined]
    cut.deliver(Phase2a, "n6", "n2")
    assert [node for node, _ in cut.waiting(Phase2b)[1].message.accepted] == ["n5", "n6"]  # type: ignore[attr-defined]
    assert ("n2", "partial_bundle", {"transaction": 0, "votes": 1}) in cut.notes


def test_a_bundle_with_a_vote_missing_decides_nothing() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver("CommitRequest")
    cut.deliver_all(Prepare)
    for acceptor in ("n2", "n3"):
        cut.deliver(Phase2a, "n5", acceptor)
        cut.time_out(acceptor, "close_bundle")
    cut.deliver_all(Phase2b)
    assert decided(cut) == {}


def test_one_acceptor_less_than_a_quorum_decides_nothing() -> None:
    cut = cluster(6)
    commit(cut)
    cut.deliver("CommitRequest")
    cut.deliver_all(Prepare)
    cut.deliver_all(Phase2a)
    cut.deliver(Phase2b, "n2")
    cut.duplicate(Phase2b, "n3")
    assert decided(cut) == {"n1": "committed"}
    cut.stabilize()
    assert decided(cut) == dict.fromkeys(("n1", "n5", "n6"), "committed")


def test_a_participant_that_votes_no_has_decided_and_tells_the_leader_alone() -> None:
    """Nobody else can propose prepared for it. N + (N-1)(F+1) + 1 + (N-1) messages, and bundles in vain."""
    cut = cluster(7)
    transaction = commit(cut, n7="no")
    found = messages(cut)
    assert found == {"Prepare": 3, "Phase2a": 4, "Decided": 3}
    assert cut.outcomes == {transaction: Ok("aborted")}
    assert decided(cut) == dict.fromkeys(("n1", "n5", "n6", "n7"), "aborted")
    assert cut.stored("n7")[""] == {"decisions": {0: "aborted"}}


def test_a_no_is_durable_before_anyone_hears_of_it() -> None:
    cut = cluster(6)
    commit(cut, n6="no")
    cut.deliver("CommitRequest")
    cut.slow_disk("n6")
    cut.deliver(Prepare, to="n6")
    assert cut.waiting(Decided) == []
    cut.crash("n6")
    assert cut.waiting(Decided) == []


def test_a_read_only_participant_is_not_sent_the_decision() -> None:
    cut = cluster(7)
    transaction = commit(cut, n6="read-only")
    found = messages(cut)
    assert found == {"Prepare": 3, "Phase2a": 6, "Phase2b": 2, "Decided": 2}
    assert cut.outcomes == {transaction: Ok("committed")}
    assert "n6" not in decided(cut)
    assert cut.node("n6").locks == {}


@pytest.mark.parametrize("faster", ["false", "true"])
def test_a_transaction_of_readers_only_is_committed(faster: str) -> None:
    cut = cluster(6, f"protocol.faster={faster}")
    transaction = commit(cut, n5="read-only", n6="read-only")
    assert messages(cut) == {"Prepare": 2, "Phase2a": 4, "Phase2b": 2}
    assert cut.outcomes == {transaction: Ok("committed")}


def test_the_first_participant_that_is_not_a_reader_answers_the_client_in_faster_paxos_commit() -> None:
    cut = cluster(7, "protocol.faster=true")
    commit(cut, n5="read-only")
    cut.deliver("CommitRequest")
    for kind in (Prepare, Phase2a, Phase2b):
        cut.deliver_all(kind)
    assert [each.sender for each in cut.waiting(CommitReply)] == ["n6"]


def test_the_leader_leaves_a_transaction_to_its_participants_in_faster_paxos_commit() -> None:
    cut = cluster(6, "protocol.faster=true")
    commit(cut)
    cut.stabilize()
    assert cut.node("n1").attempts
    cut.time_out("n1", "forget")
    assert not cut.node("n1").attempts


# Locks.


def test_a_key_is_locked_from_the_vote_to_the_decision() -> None:
    cut = cluster(6)
    first = commit(cut)
    cut.deliver("CommitRequest")
    cut.deliver_all(Prepare)
    second = cut.invoke("c2", "commit", "x", votes(("n5", "n6")))
    cut.deliver("CommitRequest")
    cut.deliver_all(Prepare)
    assert decided(cut, second) == {"n5": "aborted", "n6": "aborted"}
    cut.stabilize()
    assert cut.outcomes == {first: Ok("committed"), second: Ok("aborted")}
    assert cut.node("n5").locks == {}
    assert dict(cut.node("n5").values.items()) == {"x": first}
    third = commit(cut)
    cut.stabilize()
    assert cut.outcomes[third] == Ok("committed")


def test_transactions_without_a_key_or_with_another_one_do_not_wait() -> None:
    cut = cluster(6)
    commit(cut, key=None)
    cut.deliver("CommitRequest")
    cut.deliver_all(Prepare)
    second = cut.invoke("c2", "commit", "y", votes(("n5", "n6")))
    cut.stabilize()
    assert cut.outcomes == {0: Ok("committed"), second: Ok("committed")}
