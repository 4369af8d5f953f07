"""Each invariant of atomic commitment catches nodes that break it, and names what is broken and where."""

from __future__ import annotations

from typing import Any

import pytest

from framework import (
    COMMIT_INVARIANTS,
    SECOND,
    CastVote,
    CommitClient,
    CommitConfig,
    CommitDecision,
    CommitReply,
    DurableMap,
    Node,
    NodeId,
    OperationId,
    Step,
    Transaction,
    Violation,
    durable_map,
)
from tests.core.bench import Bench

TRANSACTION = Transaction(7, "x", (("n1", "yes"), ("n2", "yes"), ("n3", "read-only")))


class Member(Node):
    """A node that votes and decides as the test wishes."""

    votes: DurableMap[OperationId, CastVote] = durable_map(OperationId, CastVote)
    decisions: DurableMap[OperationId, CommitDecision] = durable_map(OperationId, CommitDecision)
    values: DurableMap[str, OperationId] = durable_map(str, OperationId)

    def on_start(self) -> None:
        self.unforced: dict[OperationId, CommitDecision] = {}
        self.read_only: dict[OperationId, CastVote] = {}
        self.locks: dict[str, OperationId] = {}


class Watched:
    """Three nodes and a client, observed one a second. Raises Violation as soon as an invariant breaks."""

    def __init__(self) -> None:
        self.nodes: dict[NodeId, Any] = {name: Bench(Member, node=name).node for name in ("n1", "n2", "n3")}
        self.nodes["c1"] = Bench(CommitClient, CommitConfig(), node="c1").node
        self.invariants = [invariant() for invariant in COMMIT_INVARIANTS]
        self.time = 0

    def observe(self, name: NodeId, *, started: bool = False, after: int = SECOND) -> None:
        self.time += after
        step = Step(name)
        step.time, step.started = self.time, started
        for invariant in self.invariants:
            invariant.observe(step, self.nodes[name])

    def vote(self, name: NodeId, vote: Any = "yes") -> None:
        self.nodes[name].votes[7] = CastVote(TRANSACTION, vote)
        if vote == "yes":
            self.nodes[name].locks["x"] = 7
        self.observe(name)

    def decide(self, name: NodeId, decision: CommitDecision, *, forced: bool = True) -> None:
        records = self.nodes[name].decisions if forced else self.nodes[name].unforced
        records[7] = decision
        self.observe(name)

    def hear(self, decision: CommitDecision) -> None:
        self.nodes["c1"].heard = CommitReply(7, decision)
        self.observe("c1")

    def restart(self, name: NodeId) -> None:
        self.nodes[name] = Bench(Member, node=name).node  # with nothing durable
        self.observe(name, started=True)


def voted() -> Watched:
    group = Watched()
    for name, vote in TRANSACTION.votes:
        group.vote(name, vote)
    return group


def test_a_transaction_that_all_commit() -> None:
    group = voted()
    for name in ("n1", "n2", "n3"):
        group.decide(name, "committed")
    group.hear("committed")
    group.nodes["n1"].locks.clear()
    group.nodes["n1"].values["x"] = 7
    group.observe("n1")


def test_nodes_that_decide_differently() -> None:
    group = voted()
    group.decide("n1", "committed")
    with pytest.raises(
        Violation, match="agreement broken at n1, n2: transaction 7 is committed at n1, and aborted at n2"
    ):
        group.decide("n2", "aborted")


@pytest.mark.parametrize("forced", [True, False])
def test_a_client_that_hears_otherwise(forced: bool) -> None:
    group = voted()
    group.decide("n1", "committed", forced=forced)
    with pytest.raises(Violation, match="agreement broken at n1, c1"):
        group.hear("aborted")


def test_a_node_that_decides_otherwise_than_a_client_has_heard() -> None:
    group = voted()
    group.hear("committed")
    with pytest.raises(
        Violation, match="agreement broken at c1, n1: transaction 7 is committed at c1, and aborted at n1"
    ):
        group.decide("n1", "aborted", forced=False)


def test_a_decision_that_a_crash_took_back_and_that_returns_as_another_one() -> None:
    group = voted()
    group.decide("n1", "aborted", forced=False)
    group.nodes["n1"].unforced = {}
    group.observe("n1", started=True)
    with pytest.raises(
        Violation, match="irrevocable broken at n1: transaction 7 is aborted at n1, and committed at n1"
    ):
        group.decide("n1", "committed", forced=False)


def test_a_decision_that_is_reversed() -> None:
    group = voted()
    group.decide("n1", "aborted")
    with pytest.raises(
        Violation, match="irrevocable broken at n1: transaction 7 is aborted at n1, and committed at n1"
    ):
        group.decide("n1", "committed")


def test_a_decision_that_does_not_survive_a_crash() -> None:
    group = Watched()
    group.decide("n1", "aborted")
    with pytest.raises(
        Violation, match="irrevocable broken at n1: transaction 7 was aborted at n1, which knows nothing"
    ):
        group.restart("n1")


@pytest.mark.parametrize(
    ("votes", "why"),
    [
        ({"n1": "yes", "n3": "read-only"}, "n2 has not voted"),
        ({"n1": "yes", "n2": "no", "n3": "read-only"}, "n2 voted no"),
        ({}, "nobody voted on it"),
    ],
)
def test_a_commit_without_all_votes(votes: dict[str, Any], why: str) -> None:
    for where in ("n1", "c1"):
        group = Watched()
        for name, vote in votes.items():
            group.vote(name, vote)
        if where == "n1":
            group.decide("n1", "committed")
        else:
            group.hear("committed")
        with pytest.raises(
            Violation, match=f"unanimous broken at .*: {where} considers transaction 7 committed, but {why}"
        ):
            group.observe("n1")


def test_a_read_only_vote_in_memory_counts() -> None:
    group = Watched()
    group.vote("n1")
    group.vote("n2")
    group.nodes["n3"].read_only[7] = CastVote(TRANSACTION, "read-only")
    group.observe("n3")
    group.decide("n1", "committed")
    group.observe("n1")


def test_a_vote_that_is_seen_shortly_after_the_commit_counts() -> None:
    group = Watched()
    group.vote("n1")
    group.vote("n3", "read-only")
    group.nodes["n1"].decisions[7] = "committed"
    group.observe("n1")
    group.nodes["n2"].votes[7] = CastVote(TRANSACTION, "yes")
    group.nodes["n2"].locks["x"] = 7
    group.observe("n2", after=1)  # clocks differ by more
    group.observe("n1")


def test_a_vote_that_does_not_survive_a_crash() -> None:
    group = Watched()
    group.vote("n1")
    with pytest.raises(
        Violation, match="kept vote broken at n1: n1 voted yes on transaction 7, and knows nothing of it"
    ):
        group.restart("n1")


def test_a_yes_that_becomes_a_no() -> None:
    group = Watched()
    group.vote("n1")
    with pytest.raises(Violation, match="kept vote broken at n1: n1 voted yes on transaction 7, and now no"):
        group.vote("n1", "no")


def test_a_vote_without_a_lock() -> None:
    group = Watched()
    group.nodes["n1"].votes[7] = CastVote(TRANSACTION, "yes")
    with pytest.raises(Violation, match="locked broken at n1: n1 holds no lock on x for transaction 7"):
        group.observe("n1")


def test_a_lock_that_another_transaction_takes() -> None:
    group = Watched()
    group.vote("n1")
    group.nodes["n1"].votes[8] = CastVote(Transaction(8, "x", TRANSACTION.votes), "yes")
    group.nodes["n1"].locks["x"] = 8
    with pytest.raises(
        Violation, match="locked broken at n1: n1 has voted yes on transactions 7 and 8, which both write x"
    ):
        group.observe("n1")


def test_a_value_that_is_not_committed() -> None:
    group = voted()
    group.nodes["n1"].values["x"] = 7
    with pytest.raises(Violation, match="values broken at n1: n1 has written x for transaction 7, which is not"):
        group.observe("n1")


def test_nodes_without_votes_and_decisions_are_left_alone() -> None:
    group = Watched()
    group.nodes["n1"] = Bench(Node).node
    group.observe("n1", started=True)
