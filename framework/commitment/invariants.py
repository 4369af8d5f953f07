"""Invariants of atomic commitment (Bernstein, Hadzilacos and Goodman, *Concurrency Control and Recovery*, section 7.3).

| property | definition | source |
| --- | --- | --- |
| agreement | all nodes and clients that decide a transaction decide alike | AC1 |
| irrevocable | a decision is never reversed or lost, restarts included | AC2 |
| unanimous | a transaction is committed only if every participant has voted yes, or read-only | AC3 |
| kept vote | a participant's vote of yes is never changed or lost, restarts included | section 7.3 |

They hold of every node that keeps the conventions of `framework.commitment.transactions`. The cost of a step is
proportional to its changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
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
    """Checks agreement and irrevocable, for nodes and clients."""

    def __init__(self) -> None:
        self.written = WrittenKeys()
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
                raise Violation("irrevocable", (step.node,), what)
        for transaction in self.written.since(step, decisions):
            self._check(step.node, transaction, decisions[transaction])
            own.add(transaction)

    def _check(self, name: NodeId, transaction: OperationId, decision: CommitDecision) -> None:
        known, where = self.decided.setdefault(transaction, (decision, name))
        if known != decision:
            prop = "irrevocable" if where == name else "agreement"
            what = f"transaction {transaction} is {known} at {where}, and {decision} at {name}"
            raise Violation(prop, dict.fromkeys((where, name)), what)


@dataclass
class _Doubt:
    """A commit whose votes have not all been seen: where and when it was seen."""

    where: NodeId
    time: int


class Votes(Invariant[Node]):
    """Checks unanimous and kept vote. A commit is checked once the states of all participants are certainly newer."""

    def __init__(self) -> None:
        self.written = WrittenKeys()
        self.committed = WrittenKeys()
        self.counted: dict[NodeId, int] = {}  # the number of read-only votes seen of each node
        self.votes: dict[OperationId, dict[NodeId, CastVote]] = {}
        self.kept: dict[NodeId, set[OperationId]] = {}
        self.doubts: dict[OperationId, _Doubt] = {}
        self.seen: set[OperationId] = set()

    def observe(self, step: Step, node: Node) -> None:
        votes: DurableMap[OperationId, CastVote] | None = getattr(node, "votes", None)
        decisions: DurableMap[OperationId, CommitDecision] | None = getattr(node, "decisions", None)
        if votes is not None:
            self._observe_votes(step, votes)
            self._observe_read_only(step, getattr(node, "read_only", {}))
        if decisions is not None:
            for transaction in self.committed.since(step, decisions):
                if decisions[transaction] == "committed" and transaction not in self.seen:
                    self.seen.add(transaction)
                    self.doubts[transaction] = _Doubt(step.node, step.time)
        for transaction, doubt in list(self.doubts.items()):
            if step.time < doubt.time + CLOCKS_APART:
                return  # as are all that follow
            self._check(transaction, doubt)
            del self.doubts[transaction]

    def _observe_votes(self, step: Step, votes: DurableMap[OperationId, CastVote]) -> None:
        kept = self.kept.setdefault(step.node, set())
        if step.started:
            for lost in sorted(kept - set(votes)):
                what = f"{step.node} voted yes on transaction {lost}, and knows nothing of it now"
                raise Violation("kept vote", (step.node,), what)
        for transaction in self.written.since(step, votes):
            vote = votes[transaction]
            if transaction in kept and vote.vote != "yes":
                what = f"{step.node} voted yes on transaction {transaction}, and now {vote.vote}"
                raise Violation("kept vote", (step.node,), what)
            if vote.vote == "yes":
                kept.add(transaction)
            self.votes.setdefault(transaction, {})[step.node] = vote

    def _observe_read_only(self, step: Step, votes: dict[OperationId, CastVote]) -> None:
        counted = 0 if step.started else self.counted.get(step.node, 0)
        for transaction in islice(reversed(votes), len(votes) - counted):
            self.votes.setdefault(transaction, {}).setdefault(step.node, votes[transaction])
        self.counted[step.node] = len(votes)

    def _check(self, transaction: OperationId, doubt: _Doubt) -> None:
        cast = self.votes.get(transaction, {})
        if not cast:
            raise Violation(
                "unanimous",
                (doubt.where,),
                f"{doubt.where} takes transaction {transaction} for committed, and nobody voted on it",
            )
        participants = next(iter(cast.values())).transaction.participants
        for name in participants:
            if name not in cast or cast[name].vote == "no":
                voted = f"{name} voted no" if name in cast else f"{name} has not voted"
                what = f"{doubt.where} takes transaction {transaction} for committed, and {voted}"
                raise Violation("unanimous", dict.fromkeys((doubt.where, name)), what)


COMMIT_INVARIANTS: tuple[type[Invariant[Any]], ...] = (Agreement, Votes)
"""The invariants of every protocol of atomic commitment."""
