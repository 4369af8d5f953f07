"""Two-phase commit driven by hand: the two phases, locks, time-outs, clients, and participants in doubt."""

from __future__ import annotations

import pytest

from framework import CommitReply, CommitRequest, NewIncarnation, NodeId, Ok, Transaction
from framework.testing.cluster import Cluster
from plugins.protocols.two_phase_commit.messages import (
    Acknowledged,
    Decide,
    DecisionReply,
    DecisionRequest,
    Inquire,
    Prepare,
    Voted,
)
from tests.plugins.protocols.two_phase_commit.stories import cluster, commit, decisions, everyone

PRESUMED = ("nothing", "abort", "commit")


def cast(nodes: Cluster) -> list[Voted]:
    """The votes on their way."""
    return [each.message for each in nodes.envelopes if isinstance(each.message, Voted)]


# The two phases (R*, section 2).


def test_a_commit_step_by_step() -> None:
    nodes = cluster(nodes=3)
    commit(nodes, "yes", "yes")
    nodes.clear_log()
    nodes.stabilize()
    assert nodes.log == [
        "n2 takes Prepare(transaction=0, content=#0 x (n2 yes, n3 yes)) from n1",
        "  commits votes[0]=CastVote(transaction=#0 x (n2 yes, n3 yes), vote=yes)",
        "  → n1: Voted(transaction=0, vote=yes)",
        "n3 takes Prepare(transaction=0, content=#0 x (n2 yes, n3 yes)) from n1",
        "  commits votes[0]=CastVote(transaction=#0 x (n2 yes, n3 yes), vote=yes)",
        "  → n1: Voted(transaction=0, vote=yes)",
        "n1 takes Voted(transaction=0, vote=yes) from n2",
        "n1 takes Voted(transaction=0, vote=yes) from n3",
        "  commits decisions[0]=committed, "
        "table[0]=Entry(transaction=#0 x (n2 yes, n3 yes), decision=committed, left=[n2, n3])",
        "  notes decided(transaction=0, decision=committed)",
        "  → c1: CommitReply(operation=0, decision=committed)",
        "  → n2, n3: Decide(transaction=0, decision=committed)",
        "c1 takes CommitReply(operation=0, decision=committed) from n1",
        "  completes operation 0: Ok(value=committed)",
        "n2 takes Decide(transaction=0, decision=committed) from n1",
        "  commits decisions[0]=committed, values[x]=0",
        "  notes decided(transaction=0, decision=committed)",
        "  → n1: Acknowledged(transaction=0)",
        "n3 takes Decide(transaction=0, decision=committed) from n1",
        "  commits decisions[0]=committed, values[x]=0",
        "  notes decided(transaction=0, decision=committed)",
        "  → n1: Acknowledged(transaction=0)",
        "n1 takes Acknowledged(transaction=0) from n2",
        "n1 takes Acknowledged(transaction=0) from n3",
    ]
    assert len(nodes.node("n1").table) == 0


@pytest.mark.parametrize("presumed", PRESUMED)
def test_one_no_aborts_and_the_client_hears_of_it_before_the_other_votes_are_in(presumed: str) -> None:
    nodes = cluster(f"presumed={presumed}")
    operation = commit(nodes, "yes", "no", "yes")
    nodes.deliver_all(Prepare)
    nodes.deliver(Voted, "n3")
    nodes.deliver(CommitReply)
    assert nodes.outcomes == {operation: Ok("aborted")}
    assert nodes.waiting(Decide) == []  # nobody else has voted as far as the coordinator knows
    nodes.stabilize()
    known = decisions(nodes, operation)
    assert [known[name] for name in ("n1", "n2", "n4")] == ["aborted"] * 3
    assert known["n3"] == (None if presumed == "abort" else "aborted")  # its no is on record
    assert [len(nodes.node(name).locks) for name in nodes.servers] == [0] * 4


def test_a_decision_and_its_value_last() -> None:
    nodes = cluster()
    first = commit(nodes, "yes", "yes", "yes")
    nodes.stabilize()
    for name in nodes.servers:
        nodes.crash(name)
        nodes.restart(name)
    nodes.stabilize()
    assert decisions(nodes, first) == everyone(nodes, "committed")
    assert [dict(nodes.node(name).values.items()) for name in ("n2", "n3", "n4")] == [{"x": first}] * 3


def test_a_vote_that_is_missing_too_long_aborts() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.drop(Prepare, to="n4")
    nodes.stabilize()
    nodes.time_out("n1", "give_up")
    nodes.stabilize()
    assert nodes.outcomes == {operation: Ok("aborted")}
    assert decisions(nodes, operation) == {"n1": "aborted", "n2": "aborted", "n3": "aborted", "n4": None}


def test_a_yes_that_comes_after_the_decision_has_it_sent() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    late = next(each for each in nodes.envelopes if each.to == "n4")
    nodes.deliver_all(Prepare, to="n2")
    nodes.deliver_all(Prepare, to="n3")
    nodes.fire("n1", "give_up")
    nodes.deliver(late)
    nodes.deliver(Voted, "n4")
    assert [each.message for each in nodes.waiting(Decide, to="n4")] == [Decide(operation, "aborted")]


def test_repeated_messages_change_nothing() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    for kind in (Prepare, Voted, Decide, Acknowledged):
        for envelope in nodes.waiting(kind):
            nodes.duplicate(envelope)
    nodes.stabilize()
    assert decisions(nodes, operation) == everyone(nodes, "committed")
    assert len(nodes.node("n1").table) == 0


# Locks.


def test_a_participant_votes_no_while_another_transaction_holds_the_key() -> None:
    nodes = cluster()
    first = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    second = commit(nodes, "yes", "yes", "read-only", client="c2")
    nodes.deliver_all(Prepare)
    votes = [voted.vote for voted in cast(nodes) if voted.transaction == second]
    assert votes == ["no", "no", "no"]
    nodes.stabilize()
    assert nodes.outcomes == {first: Ok("committed"), second: Ok("aborted")}
    third = commit(nodes, "yes", "yes", "yes", client="c2")
    nodes.stabilize()
    assert nodes.outcomes[third] == Ok("committed")


def test_transactions_without_a_key_lock_nothing() -> None:
    nodes = cluster()
    operations = [commit(nodes, "yes", "yes", "yes", key="", client=client) for client in ("c1", "c2")]
    nodes.stabilize()
    assert nodes.outcomes == dict.fromkeys(operations, Ok("committed"))


def test_all_only_read() -> None:
    nodes = cluster()
    operation = commit(nodes, "read-only", "read-only", "read-only")
    nodes.stabilize()
    assert nodes.outcomes == {operation: Ok("committed")}
    assert decisions(nodes, operation) == {"n1": "committed", "n2": None, "n3": None, "n4": None}


# Participants in doubt.


def in_doubt(
    *settings: str,
    votes: tuple[str, ...] = ("yes", "yes", "yes"),
    prepared: tuple[NodeId, ...] = ("n2", "n3", "n4"),
) -> tuple[Cluster, int]:
    """These have voted, the coordinator is down and its decision unknown; n2 asks."""
    nodes = cluster(*settings)
    operation = commit(nodes, *votes)
    for name in prepared:
        nodes.deliver(Prepare, to=name)
    nodes.drop_all(Voted)
    nodes.drop_all(Prepare)
    nodes.crash("n1")
    nodes.clear_log()
    nodes.time_out("n2", "inquire")
    return nodes, operation


def test_a_participant_in_doubt_asks_everybody_and_holds_its_lock() -> None:
    nodes, operation = in_doubt()
    content = Transaction(operation, "x", (("n2", "yes"), ("n3", "yes"), ("n4", "yes")))
    assert [(each.to, each.message) for each in nodes.envelopes] == [
        ("n1", Inquire(operation)),
        ("n3", DecisionRequest(operation, content)),
        ("n4", DecisionRequest(operation, content)),
    ]
    nodes.stabilize()
    for _ in range(20):  # those in doubt too cannot help
        nodes.time_out("n2", "inquire")
        nodes.stabilize()
    assert decisions(nodes, operation) == dict.fromkeys(("n2", "n3", "n4"))
    assert nodes.node("n2").locks == {"x": operation}
    assert ("n2", "blocked", {"transaction": operation}) in nodes.notes


def test_without_cooperation_it_asks_the_coordinator_alone() -> None:
    nodes, operation = in_doubt("termination=coordinator")
    assert [(each.to, each.message) for each in nodes.envelopes] == [("n1", Inquire(operation))]


def test_one_that_has_decided_answers() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    nodes.deliver_all(Voted)
    nodes.deliver(Decide, to="n3")
    nodes.crash("n1")
    nodes.drop_all(Decide)
    nodes.time_out("n2", "inquire")
    nodes.stabilize()
    assert decisions(nodes, operation) == {"n2": "committed", "n3": "committed", "n4": None}
    assert nodes.node("n2").values["x"] == operation
    assert [note for note in nodes.notes if note[0] == "n2"][-1] == ("n2", "unblocked", {"transaction": operation})
    nodes.restart("n1")  # which had it on record
    nodes.stabilize()
    assert decisions(nodes, operation) == everyone(nodes, "committed")
    assert len(nodes.node("n1").table) == 0


@pytest.mark.parametrize("presumed", PRESUMED)
def test_one_that_has_not_voted_aborts_for_good(presumed: str) -> None:
    nodes, operation = in_doubt(f"presumed={presumed}", prepared=("n2", "n3"))
    nodes.stabilize()
    assert decisions(nodes, operation) == {"n2": "aborted", "n3": None, "n4": "aborted"}
    assert nodes.stored("n4")[""]["decisions"] == {operation: "aborted"}
    nodes.crash("n4")
    nodes.restart("n4")
    late = nodes.send("n1", "n4", Prepare(operation, nodes.node("n2").votes[operation].transaction))
    nodes.deliver(late)
    assert [each.message for each in nodes.waiting(Voted)] == [Voted(operation, "no")]


def test_one_that_may_have_voted_read_only_and_forgotten_does_not_abort() -> None:
    nodes, operation = in_doubt(votes=("yes", "yes", "read-only"))
    nodes.crash("n4")
    nodes.restart("n4")
    nodes.stabilize()
    assert nodes.waiting(DecisionReply) == []
    assert decisions(nodes, operation) == dict.fromkeys(("n2", "n3", "n4"))


def test_the_coordinator_does_not_answer_while_it_collects_votes() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver(Prepare, to="n2")
    nodes.fire("n2", "inquire")
    nodes.deliver(Inquire)
    assert nodes.waiting(Decide) == []
    assert operation in nodes.node("n1").voting


def test_a_presumption_that_answers_an_old_question_changes_nothing() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    nodes.fire("n2", "inquire")
    old = nodes.waiting(Inquire)[0]
    nodes.drop_all(DecisionRequest)
    for kind in (Voted, Decide, Acknowledged):
        nodes.deliver_all(kind)
    nodes.deliver(old)
    assert [each.message for each in nodes.waiting(Decide)] == [Decide(operation, "aborted")]
    nodes.stabilize()
    assert decisions(nodes, operation) == everyone(nodes, "committed")


def test_a_late_no_of_an_earlier_life_does_not_take_the_place_of_an_acknowledgement() -> None:
    """Presumed abort records no no: after a crash the participant may vote yes, and then the coordinator owes it."""
    nodes = cluster()
    first = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    second = commit(nodes, "yes", "yes", "yes", client="c2")
    again = next(
        each
        for each in nodes.envelopes
        if each.to == "n4" and isinstance(each.message, Prepare) and each.message.transaction == second
    )
    for name in ("n2", "n3"):  # these get the second request when the key is free again
        nodes.envelopes[:] = [
            each for each in nodes.envelopes if not (each.to == name and type(each.message) is Prepare)
        ]
    nodes.duplicate(again)
    no = next(each for each in nodes.waiting(Voted) if each.message == Voted(second, "no"))
    nodes.envelopes.remove(no)
    for kind in (Voted, Decide, Acknowledged):
        nodes.deliver_all(kind)
    nodes.crash("n4")
    nodes.restart("n4")
    for name in ("n2", "n3"):
        nodes.send("n1", name, again.message)
    nodes.deliver_all(Prepare)
    nodes.deliver_all(Voted)
    nodes.drop_all(Decide)
    nodes.envelopes.append(no)
    nodes.deliver(no)
    assert nodes.node("n1").table[second].left == ("n2", "n3", "n4")
    nodes.fire("n1", "resend", second)
    nodes.stabilize()
    assert nodes.outcomes == {first: Ok("committed"), second: Ok("committed")}
    assert decisions(nodes, second) == everyone(nodes, "committed")


def test_a_no_that_is_not_on_record_is_repeated_though_the_key_is_free_by_then() -> None:
    """Otherwise the transaction may be committed, and a client told "aborted" because of the no."""
    nodes = cluster()
    first = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    second = commit(nodes, "yes", "yes", "yes", client="c2")
    nodes.duplicate(nodes.waiting(Prepare, to="n4")[0])
    for kind in (Voted, Decide, CommitReply):
        nodes.deliver_all(kind)
    assert nodes.outcomes[first] == Ok("committed")
    assert nodes.node("n4").locks == {}
    nodes.deliver(Prepare, to="n4")
    assert [voted for voted in cast(nodes) if voted.transaction == second][-1] == Voted(second, "no")
    assert second not in nodes.node("n4").votes


# Clients.


def test_any_node_that_knows_the_decision_answers_a_client() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    content = nodes.node("n1").voting[operation].transaction
    nodes.send("c9", "n2", CommitRequest(operation, content, 1))
    nodes.deliver(CommitRequest)  # n2 has never heard of it, and remembers the client
    nodes.stabilize()
    nodes.send("c9", "n3", CommitRequest(operation, content, 1))
    nodes.stabilize()
    assert nodes.inbox["c9"] == [CommitReply(operation, "committed")] * 2


def test_a_participant_that_voted_no_answers_a_client_once_that_is_on_record() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "no")
    content = nodes.node("n1").voting[operation].transaction
    nodes.deliver_all(Prepare)
    nodes.clear_log()
    nodes.deliver(nodes.send("c9", "n4", CommitRequest(operation, content, 1)))
    assert nodes.log[1:] == [
        f"  commits decisions[{operation}]=aborted",
        f"  notes decided(transaction={operation}, decision=aborted)",
        f"  → c9: CommitReply(operation={operation}, decision=aborted)",
    ]


def test_a_client_is_answered_from_the_outcome_and_not_from_the_table() -> None:
    """The transaction is committed and forgotten: what is presumed of it is aborted."""
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    content = nodes.node("n1").voting[operation].transaction
    nodes.stabilize()
    for again in (False, True):
        nodes.crash("n1")
        nodes.restart("n1")
        nodes.send("c9", "n1", CommitRequest(operation, content, 1, again))
        nodes.stabilize()
    assert nodes.inbox["c9"] == [CommitReply(operation, "committed")] * 2


def test_a_late_request_to_an_earlier_incarnation_begins_nothing() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    content = nodes.node("n1").voting[operation].transaction
    nodes.drop_all()
    nodes.crash("n1")
    nodes.restart("n1")
    nodes.send("c9", "n1", CommitRequest(operation, content, 1))
    nodes.stabilize()
    assert nodes.inbox["c9"] == [NewIncarnation(operation, 2)]
    nodes.send("c9", "n1", CommitRequest(operation, content, 2, again=True))
    nodes.stabilize()
    assert nodes.inbox["c9"][1:] == [CommitReply(operation, "aborted")]
    assert nodes.waiting(Prepare) == []


def test_the_client_asks_again_under_the_new_incarnation_and_learns_that_it_is_aborted() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.drop_all()
    nodes.crash("n1")
    nodes.restart("n1")
    for _ in range(2):  # a participant, then n1
        nodes.fire("c1", "ask")
        nodes.stabilize()
    assert nodes.outcomes == {operation: Ok("aborted")}
