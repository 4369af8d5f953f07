"""Invariants of atomic commitment (Bernstein, Hadzilacos and Goodman, *Concurrency Control and Recovery*, section 7.3).

| property | definition | source |
| --- | --- | --- |
| agreement | all nodes and clients that decide a transaction decide alike | AC1 |
| irrevocable | a decision is never reversed or lost, restarts included | AC2 |
| unanimous | a transaction is committed only if every participant has voted yes, or read-only | AC3 |
| kept vote | a participant's vote of yes is never changed or lost, restarts included | section 7.3 |
| locked | a participant holds the key of each transaction from its vote of yes to the decision, restarts included | section 7.1 |
| values | a participant's value of a key is a committed transaction | |

A decision that a crash may take back has to come back as it was. The properties hold of every node that keeps the
conventions of `framework.commitment.transactions`. The cost of a step is proportional to its changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from framework.checking.invariants import CLOCKS_APART, Invariant, Step, WrittenKeys
from framework.commitment.client import CommitClient
from framework.commitment.transactions import CastVote, CommitDecision
from framework.core.client import OperationId
from framework.core.durable import DurableMap
from framework.core.errors import Violation
from framework.core.message import NodeId
from framework.core.node import Node


class Agreement(Invariant[Node]):
    """Checks agreement and irrevocable, for nodes and clients, and for decisions that crashes have taken back."""

    def __init__(self) -> None:
        self.forced, self.unforced = WrittenKeys(), WrittenKeys()
        self.decided: dict[OperationId, tuple[CommitDecision, NodeId]] = {}
        self.by_node: dict[NodeId, set[OperationId]] = {}

    def observe(self, step: Step, node: Node) -> None:
        if isinstance(node, CommitClient):
            if node.heard is not None:
                self._check(step.node, node.heard.operation, node.heard.decision)
            return
        decisions: DurableMap[OperationId, CommitDecision] | None = getattr(node, "decisions", None)
        if decisions is None:
            return
        own = self.by_node.setdefault(step.node, set())
        if step.started:
            for lost in sorted(own - set(decisions)):
                what = f"transaction {lost} was {self.decided[lost][0]} at {step.node}, which knows nothing of it now"
                raise Violation("irrevocable", (step.node,), what, operation=lost)
        for transaction in self.forced.since(step, decisions):
            self._check(step.node, transaction, decisions[transaction])
            own.add(transaction)
        unforced: dict[OperationId, CommitDecision] = getattr(node, "unforced", {})
        for transaction in self.unforced.since(step, unforced):
            self._check(step.node, transaction, unforced[transaction])

    def _check(self, name: NodeId, transaction: OperationId, decision: CommitDecision) -> None:
        known, where = self.decided.setdefault(transaction, (decision, name))
        if known != decision:
            prop = "irrevocable" if where == name else "agreement"
            what = f"transaction {transaction} is {known} at {where}, and {decision} at {name}"
            raise Violation(prop, dict.fromkeys((where, name)), what, operation=transaction)


@dataclass
class _Doubt:
    """A commit whose votes have not all been seen: where and when it was seen."""

    where: NodeId
    time: int


class Votes(Invariant[Node]):
    """Checks unanimous and kept vote. A commit is checked once the states of all participants are certainly newer."""

    def __init__(self) -> None:
        self.written, self.read_only = WrittenKeys(), WrittenKeys()
        self.forced, self.unforced = WrittenKeys(), WrittenKeys()
        self.votes: dict[OperationId, dict[NodeId, CastVote]] = {}
        self.kept: dict[NodeId, set[OperationId]] = {}
        self.doubts: dict[OperationId, _Doubt] = {}
        self.seen: set[OperationId] = set()

    def observe(self, step: Step, node: Node) -> None:
        votes: DurableMap[OperationId, CastVote] | None = getattr(node, "votes", None)
        if votes is not None:
            self._observe_votes(step, votes)
            read_only: dict[OperationId, CastVote] = getattr(node, "read_only", {})
            for transaction in self.read_only.since(step, read_only):
                self.votes.setdefault(transaction, {}).setdefault(step.node, read_only[transaction])
        if isinstance(node, CommitClient):
            if node.heard is not None:
                self._observe_decision(step, node.heard.operation, node.heard.decision)
        else:
            for written, name in ((self.forced, "decisions"), (self.unforced, "unforced")):
                decisions: dict[OperationId, CommitDecision] = getattr(node, name, {})
                for transaction in written.since(step, decisions):
                    self._observe_decision(step, transaction, decisions[transaction])
        for transaction, doubt in list(self.doubts.items()):
            if step.time < doubt.time + CLOCKS_APART:
                return  # as are all that follow
            self._check(transaction, doubt)
            del self.doubts[transaction]

    def _observe_decision(self, step: Step, transaction: OperationId, decision: CommitDecision) -> None:
        if decision == "committed" and transaction not in self.seen:
            self.seen.add(transaction)
            self.doubts[transaction] = _Doubt(step.node, step.time)

    def _observe_votes(self, step: Step, votes: DurableMap[OperationId, CastVote]) -> None:
        kept = self.kept.setdefault(step.node, set())
        if step.started:
            for lost in sorted(kept - set(votes)):
                what = f"{step.node} voted yes on transaction {lost}, and knows nothing of it now"
                raise Violation("kept vote", (step.node,), what, operation=lost)
        for transaction in self.written.since(step, votes):
            vote = votes[transaction]
            if transaction in kept and vote.vote != "yes":
                what = f"{step.node} voted yes on transaction {transaction}, and now {vote.vote}"
                raise Violation("kept vote", (step.node,), what, operation=transaction)
            if vote.vote == "yes":
                kept.add(transaction)
            self.votes.setdefault(transaction, {})[step.node] = vote

    def _check(self, transaction: OperationId, doubt: _Doubt) -> None:
        cast = self.votes.get(transaction, {})
        if not cast:
            raise Violation(
                "unanimous",
                (doubt.where,),
                f"{doubt.where} considers transaction {transaction} committed, but nobody voted on it",
                operation=transaction,
            )
        participants = next(iter(cast.values())).transaction.participants
        for name in participants:
            if name not in cast or cast[name].vote == "no":
                voted = f"{name} voted no" if name in cast else f"{name} has not voted"
                what = f"{doubt.where} considers transaction {transaction} committed, but {voted}"
                raise Violation("unanimous", dict.fromkeys((doubt.where, name)), what, operation=transaction)


class Locks(Invariant[Node]):
    """Checks locked, when a vote is cast and after a restart; and values."""

    def __init__(self) -> None:
        self.votes, self.values = WrittenKeys(), WrittenKeys()
        self.holders: dict[tuple[NodeId, str], OperationId] = {}

    def observe(self, step: Step, node: Node) -> None:
        locks: dict[str, OperationId] | None = getattr(node, "locks", None)
        if locks is None:
            return
        votes: DurableMap[OperationId, CastVote] = getattr(node, "votes")  # noqa: B009
        for transaction in self.votes.since(step, votes):
            cast = votes[transaction]
            key = cast.transaction.key
            if cast.vote != "yes" or not key or _decision(node, transaction) is not None:
                continue
            before = self.holders.get((step.node, key), transaction)
            if before != transaction and _decision(node, before) is None:
                what = f"{step.node} has voted yes on transactions {before} and {transaction}, which both write {key}"
                raise Violation("locked", (step.node,), what, operation=transaction)
            self.holders[step.node, key] = transaction
            if locks.get(key) != transaction:
                what = f"{step.node} holds no lock on {key} for transaction {transaction}"
                raise Violation("locked", (step.node,), what, operation=transaction)
        values: dict[str, OperationId] = getattr(node, "values", {})
        for key in self.values.since(step, values):
            if _decision(node, values[key]) != "committed":
                what = f"{step.node} has written {key} for transaction {values[key]}, which is not committed"
                raise Violation("values", (step.node,), what, operation=values[key])


def _decision(node: Node, transaction: OperationId) -> CommitDecision | None:
    """Returns the decision that a node knows."""
    for name in ("decisions", "unforced"):
        decision: CommitDecision | None = getattr(node, name, {}).get(transaction)
        if decision is not None:
            return decision
    return None


COMMIT_INVARIANTS: tuple[type[Invariant[Any]], ...] = (Agreement, Votes, Locks)
"""The invariants of every protocol of atomic commitment."""
