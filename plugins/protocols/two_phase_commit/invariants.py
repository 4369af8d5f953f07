"""Invariants of two-phase commit, besides those of all atomic commitment (`framework.commitment.invariants`).

| property | definition | source |
| --- | --- | --- |
| one decision | all decisions, forced or not, are alike, also with those that crashes have lost | BHG AC1, AC2 |
| coordinator first | a commit is on the coordinator's record before any participant has it | R*, section 2 |
| collecting first | presumed commit: the participants are on record before any of them votes yes | R*, section 3.2 |
| table kept | a coordinator forgets no transaction in a crash that it must not forget | R*, sections 2 and 3 |
| locked | a participant holds the key of each transaction between its vote of yes and the decision, restarts included | R*, section 2 |
| values | a participant's value of a key is a committed transaction | |

The cost of a step is proportional to its changes; after a restart all of the node's state is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from framework import (
    CLOCKS_APART,
    COMMIT_INVARIANTS,
    CommitDecision,
    DurableMap,
    Invariant,
    NodeId,
    OperationId,
    Step,
    Violation,
)
from plugins.protocols.two_phase_commit.node import TwoPhaseCommit


class _Written:
    """Finds the keys of a node's map that were set since the node was last seen; all of them after a restart."""

    def __init__(self) -> None:
        self.seen: dict[NodeId, int] = {}

    def since(self, step: Step, records: DurableMap[Any, Any]) -> Iterator[Any]:
        seen = 0 if step.started else self.seen.get(step.node, 0)
        self.seen[step.node] = records.writes
        return iter(records) if step.started else records.latest(records.writes - seen)


class Decisions(Invariant[TwoPhaseCommit]):
    """Checks one decision. Unlike a forced decision, another one may be lost; then it must come back as it was."""

    def __init__(self) -> None:
        self.forced, self.unforced = _Written(), _Written()
        self.known: dict[OperationId, tuple[CommitDecision, NodeId]] = {}

    def observe(self, step: Step, node: TwoPhaseCommit) -> None:
        for written, records in ((self.forced, node.decisions), (self.unforced, node.unforced)):
            for transaction in written.since(step, records):
                decision = records[transaction]
                known, where = self.known.setdefault(transaction, (decision, step.node))
                if known != decision:
                    what = f"transaction {transaction} is {known} at {where}, and {decision} at {step.node}"
                    raise Violation("one decision", dict.fromkeys((where, step.node)), what)


@dataclass
class _Early:
    """Something that a participant has, and that its coordinator has not been seen to have on record: since when."""

    participant: NodeId
    coordinator: NodeId
    time: int


class _CoordinatorFirst:
    """Finds participants that have something before their coordinator has it on record."""

    def __init__(self) -> None:
        self.recorded: dict[OperationId, int] = {}
        self.early: dict[OperationId, _Early] = {}

    def record(self, time: int, transaction: OperationId) -> None:
        self.recorded.setdefault(transaction, time)

    def expect(self, time: int, transaction: OperationId, participant: NodeId, coordinator: NodeId) -> None:
        if transaction not in self.recorded and transaction not in self.early:
            self.early[transaction] = _Early(participant, coordinator, time)

    def overdue(self, time: int) -> Iterator[tuple[OperationId, _Early]]:
        """Yields what is certainly too early. What is at most `CLOCKS_APART` too early may seem so only."""
        for transaction, early in list(self.early.items()):
            recorded = self.recorded.get(transaction, time)
            if recorded > early.time + CLOCKS_APART:
                yield transaction, early
            elif transaction in self.recorded:
                del self.early[transaction]


class CoordinatorFirst(Invariant[TwoPhaseCommit]):
    """Checks coordinator first, and collecting first."""

    def __init__(self) -> None:
        self.forced, self.unforced, self.votes, self.table = _Written(), _Written(), _Written(), _Written()
        self.commits, self.collecting = _CoordinatorFirst(), _CoordinatorFirst()

    def observe(self, step: Step, node: TwoPhaseCommit) -> None:
        for written, records in ((self.forced, node.decisions), (self.unforced, node.unforced)):
            for transaction in written.since(step, records):
                if records[transaction] == "committed":
                    self._observe_commit(step, node, transaction, forced=records is node.decisions)
        if node.config.presumed == "commit":
            for transaction in self.table.since(step, node.table):
                self.collecting.record(step.time, transaction)
            for transaction in self.votes.since(step, node.votes):
                coordinator = node.coordinator_of(node.votes[transaction].transaction)
                self.collecting.expect(step.time, transaction, step.node, coordinator)
        for transaction, early in self.commits.overdue(step.time):
            what = f"{early.participant} has committed transaction {transaction} before {early.coordinator} had it on record"
            raise Violation("coordinator first", (early.participant, early.coordinator), what)
        for transaction, early in self.collecting.overdue(step.time):
            what = (
                f"{early.participant} has voted yes on transaction {transaction} before {early.coordinator} had its "
                "participants on record"
            )
            raise Violation("collecting first", (early.participant, early.coordinator), what)

    def _observe_commit(self, step: Step, node: TwoPhaseCommit, transaction: OperationId, *, forced: bool) -> None:
        cast = node.votes.get(transaction)
        coordinator = step.node if cast is None else node.coordinator_of(cast.transaction)
        if coordinator != step.node:
            self.commits.expect(step.time, transaction, step.node, coordinator)
        elif forced:
            self.commits.record(step.time, transaction)


class TableKept(Invariant[TwoPhaseCommit]):
    """Checks table kept. Entries leave the table lazily: a crash may bring one back, but lose none."""

    def __init__(self) -> None:
        self.known: dict[NodeId, tuple[OperationId, ...]] = {}
        self.writes: dict[NodeId, int] = {}

    def observe(self, step: Step, node: TwoPhaseCommit) -> None:
        if step.started:
            for lost in self.known.get(step.node, ()):
                if lost not in node.table and node.decision_of(lost) is None:
                    what = f"{step.node} has forgotten transaction {lost}, whose decision is still to be acknowledged"
                    raise Violation("table kept", (step.node,), what)
        if step.started or self.writes.get(step.node) != node.table.writes:
            self.writes[step.node] = node.table.writes
            self.known[step.node] = tuple(node.table)


class Locked(Invariant[TwoPhaseCommit]):
    """Checks locked, and values."""

    def __init__(self) -> None:
        self.votes, self.values = _Written(), _Written()
        self.holders: dict[tuple[NodeId, str], OperationId] = {}

    def observe(self, step: Step, node: TwoPhaseCommit) -> None:
        for transaction in self.votes.since(step, node.votes):
            key = node.votes[transaction].transaction.key
            if not key or node.decision_of(transaction) is not None:
                continue
            before = self.holders.get((step.node, key), transaction)
            if before != transaction and node.decision_of(before) is None:
                what = f"{step.node} has voted yes on transactions {before} and {transaction}, which both write {key}"
                raise Violation("locked", (step.node,), what)
            self.holders[step.node, key] = transaction
            if node.locks.get(key) != transaction:
                raise Violation(
                    "locked", (step.node,), f"{step.node} holds no lock on {key} for transaction {transaction}"
                )
        for key in self.values.since(step, node.values):
            if node.decision_of(node.values[key]) != "committed":
                what = f"{step.node} has written {key} for transaction {node.values[key]}, which is not committed"
                raise Violation("values", (step.node,), what)


INVARIANTS: tuple[type[Invariant[Any]], ...] = (*COMMIT_INVARIANTS, Decisions, CoordinatorFirst, TableKept, Locked)
