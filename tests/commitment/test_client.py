"""The client of atomic commitment: whom it asks, under which incarnation, and when its transaction ends."""

from __future__ import annotations

from typing import Any

from framework import (
    COORDINATOR,
    MILLISECOND,
    PARTICIPANT,
    CommitClient,
    CommitConfig,
    CommitReply,
    CommitRequest,
    Fail,
    NewIncarnation,
    Ok,
    Operation,
    Transaction,
    asking_time,
    coordinator_of,
)
from tests.core.bench import Bench, Completed, Sent

RETRY = 300 * MILLISECOND
VOTES = (("n2", "yes"), ("n3", "no"))
TRANSACTION = Transaction(7, "x", VOTES)


def client(*coordinators: str) -> Bench:
    bench = Bench(CommitClient, CommitConfig(), node="c1", peers=("n1", "n2", "n3"))
    bench.node.roles = {COORDINATOR: coordinators} if coordinators else {}
    return bench


def commit(bench: Bench, number: int = 7, argument: Any = VOTES) -> list[Any]:
    bench.node._begin(Operation(number, "commit", "x", argument), 0)
    return bench.finish()


def test_a_transaction_goes_to_its_coordinator_and_ends_with_its_decision() -> None:
    bench = client("n1")

    assert commit(bench) == [Sent("n1", CommitRequest(7, TRANSACTION))]
    assert bench.deliver(("n1", CommitReply(7, "aborted"))) == [Completed(7, Ok("aborted"))]
    assert bench.node.heard == CommitReply(7, "aborted")


def test_without_dedicated_coordinators_the_first_participant_is_asked() -> None:
    assert commit(client()) == [Sent("n2", CommitRequest(7, TRANSACTION))]


def test_several_coordinators_share_the_transactions() -> None:
    chosen = [coordinator_of(Transaction(number, "", VOTES), ("n1", "n9")) for number in range(4)]
    assert chosen == ["n1", "n9", "n1", "n9"]


def test_if_no_answer_comes_a_participant_is_asked_and_the_coordinator_again_by_turns() -> None:
    bench = client("n1")
    (first,) = commit(bench)

    asked = [bench.advance(RETRY) for _ in range(5)]

    assert asked == [[Sent(node, first.message)] for node in ("n2", "n1", "n3", "n1", "n2")]
    assert asking_time(CommitConfig()) == 2 * RETRY, "the coordinator is asked every second time"
    assert bench.deliver(("n3", CommitReply(7, "committed"))) == [Completed(7, Ok("committed"))]
    assert bench.advance(10 * RETRY) == []


def test_a_coordinator_names_its_incarnation_and_is_asked_again() -> None:
    bench = client("n1")
    commit(bench)

    assert bench.deliver(("n1", NewIncarnation(7, 4))) == [Sent("n1", CommitRequest(7, TRANSACTION, 4, again=False))]
    assert bench.deliver(("n1", NewIncarnation(7, 4))) == [], "a duplicate"
    assert bench.deliver(("n1", CommitReply(7, "committed"))) == [Completed(7, Ok("committed"))]
    assert commit(bench, 8) == [Sent("n1", CommitRequest(8, Transaction(8, "x", VOTES), 4))]


def test_what_an_earlier_incarnation_may_have_begun_is_asked_for_again() -> None:
    bench = client("n1")
    commit(bench)
    bench.deliver(("n1", NewIncarnation(7, 4)))

    assert bench.deliver(("n1", NewIncarnation(7, 5))) == [Sent("n1", CommitRequest(7, TRANSACTION, 5, again=True))]
    assert bench.deliver(("n1", NewIncarnation(7, 4))) == [], "a late one"


def test_a_request_under_a_remembered_incarnation_may_have_been_taken() -> None:
    bench = client("n1")
    commit(bench)
    bench.deliver(("n1", NewIncarnation(7, 4)), ("n1", CommitReply(7, "committed")))
    commit(bench, 8)

    (sent,) = bench.deliver(("n1", NewIncarnation(8, 5)))
    assert sent.message.again


def test_an_answer_about_an_earlier_transaction_changes_nothing() -> None:
    bench = client("n1")
    commit(bench)
    bench.deliver(("n1", CommitReply(7, "committed")))
    commit(bench, 8)

    assert bench.deliver(("n2", CommitReply(7, "committed")), ("n1", NewIncarnation(7, 3))) == []
    assert bench.node.current == 8


def test_only_participants_take_part() -> None:
    bench = client("n1")
    bench.node.roles = {COORDINATOR: ("n1",), PARTICIPANT: ("n2", "n3")}

    (completed,) = commit(bench, argument=(("n2", "yes"), ("n1", "yes")))
    assert completed.outcome == Fail("a transaction names one participant or more of n2, n3, each once")
    assert commit(bench, 8) == [Sent("n1", CommitRequest(8, Transaction(8, "x", VOTES)))]


def test_what_is_no_transaction_fails() -> None:
    for argument in (
        None,
        3,
        (),
        (("n9", "yes"),),
        (("n2", "yes", 1),),
        (("n2", "perhaps"),),
        (("n2", "yes"), ("n2", "no")),
    ):
        (completed,) = commit(client("n1"), argument=argument)
        assert type(completed.outcome) is Fail
