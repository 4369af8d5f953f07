"""Invariants of two-phase commit, besides those of all atomic commitment (`framework.commitment.invariants`).

| property | definition | source |
| --- | --- | --- |
| coordinator first | a commit is on the coordinator's record before any participant has it | R*, section 2 |
| collecting first | presumed commit: the participants are on record before any of them votes yes | R*, section 3.2 |
| forgotten last | a coordinator forgets a participant only when that has the decision on record | R*, sections 2 and 3 |

The cost of a step is proportional to its changes; after a restart all of the node's state is checked.
"""

from __future__ import annotations

from typing import Any

from framework import (
    CLOCKS_APART,
    COMMIT_INVARIANTS,
    COORDINATOR,
    Invariant,
    NodeId,
    OperationId,
    Step,
    Violation,
    WrittenKeys,
)
from plugins.protocols.two_phase_commit.node import Entry, TwoPhaseCommit


class _Order:
    """Checks that one thing is on record at a node before something else is seen at another. What is at most
    `CLOCKS_APART` too early may seem so only."""

    def __init__(self) -> None:
        self.recorded: dict[Any, int] = {}
        self.expected: dict[Any, tuple[int, Violation]] = {}

    def record(self, time: int, key: Any) -> None:
        self.recorded.setdefault(key, time)

    def expect(self, time: int, key: Any, otherwise: Violation) -> None:
        if key not in self.recorded:
            self.expected.setdefault(key, (time, otherwise))

    def check(self, time: int) -> None:
        """Raises Violation for the first expectation that has certainly not been met."""
        for key, (since, otherwise) in list(self.expected.items()):
            if self.recorded.get(key, time) > since + CLOCKS_APART:
                raise otherwise
            if key in self.recorded:
                del self.expected[key]


class CoordinatorFirst(Invariant[TwoPhaseCommit]):
    """Checks coordinator first, and collecting first."""

    def __init__(self) -> None:
        self.forced, self.unforced, self.votes, self.table = WrittenKeys(), WrittenKeys(), WrittenKeys(), WrittenKeys()
        self.commits, self.collecting = _Order(), _Order()

    def observe(self, step: Step, node: TwoPhaseCommit) -> None:
        for written, records in ((self.forced, node.decisions), (self.unforced, node.unforced)):
            for transaction in written.since(step, records):
                if records[transaction] == "committed":
                    self._observe_commit(step, node, transaction)
        self.commits.check(step.time)
        if node.config.presumed == "commit":
            for transaction in self.table.since(step, node.table):
                self.collecting.record(step.time, transaction)
            for transaction in self.votes.since(step, node.votes):
                self._observe_vote(step, node, transaction)
            self.collecting.check(step.time)

    def _observe_commit(self, step: Step, node: TwoPhaseCommit, transaction: OperationId) -> None:
        cast = node.votes.get(transaction)
        if cast is None and step.node not in (node.roles.get(COORDINATOR) or (step.node,)):
            return  # not the coordinator, and nothing to say who is
        coordinator = step.node if cast is None else node.coordinator_of(cast.transaction)
        if coordinator != step.node:
            what = f"{step.node} has committed transaction {transaction} before {coordinator} had it on record"
            otherwise = Violation("coordinator first", (step.node, coordinator), what, operation=transaction)
            self.commits.expect(step.time, transaction, otherwise)
        elif transaction in node.decisions:
            self.commits.record(step.time, transaction)

    def _observe_vote(self, step: Step, node: TwoPhaseCommit, transaction: OperationId) -> None:
        coordinator = node.coordinator_of(node.votes[transaction].transaction)
        what = f"{step.node} has voted yes on transaction {transaction} before {coordinator} had the participants on record"
        otherwise = Violation("collecting first", (step.node, coordinator), what, operation=transaction)
        self.collecting.expect(step.time, transaction, otherwise)


class Acknowledgements(Invariant[TwoPhaseCommit]):
    """Checks forgotten last: whenever a participant is struck off, by a message or in a crash, it has the decision on
    its own record. So it will never ask, unless it only reads."""

    def __init__(self) -> None:
        self.forced, self.table = WrittenKeys(), WrittenKeys()
        self.owed: dict[NodeId, dict[OperationId, tuple[NodeId, ...]]] = {}
        self.records = _Order()

    def observe(self, step: Step, node: TwoPhaseCommit) -> None:
        for transaction in self.forced.since(step, node.decisions):
            self.records.record(step.time, (transaction, step.node))
        owed = self.owed.setdefault(step.node, {})
        written = [each for each in self.table.since(step, node.table) if each in node.table]
        gone = [each for each in owed if each not in node.table] if step.started or len(owed) > len(node.table) else []
        for transaction in (*written, *gone):
            entry = node.table.get(transaction)
            left = () if entry is None else _owed(step.node, entry)
            self._observe_struck_off(step, node, transaction, left)
            owed[transaction] = left
        for transaction in gone:
            del owed[transaction]
        self.records.check(step.time)

    def _observe_struck_off(
        self, step: Step, node: TwoPhaseCommit, transaction: OperationId, left: tuple[NodeId, ...]
    ) -> None:
        decision = node.decision_of(transaction)
        if decision is not None and not node.is_acknowledged(decision):
            return
        for name in self.owed[step.node].get(transaction, ()):
            if name not in left:
                what = f"{step.node} does not await {name} in transaction {transaction}, which {name} has no record of"
                otherwise = Violation("forgotten last", (step.node, name), what, operation=transaction)
                self.records.expect(step.time, (transaction, name), otherwise)


def _owed(coordinator: NodeId, entry: Entry) -> tuple[NodeId, ...]:
    """Returns the other participants that must not be forgotten yet, and may be in doubt."""
    transaction = entry.transaction
    names = transaction.participants if entry.decision is None else entry.left
    return tuple(name for name in names if name != coordinator and transaction.intended_vote(name) != "read-only")


INVARIANTS: tuple[type[Invariant[Any]], ...] = (
    *COMMIT_INVARIANTS,
    CoordinatorFirst,
    Acknowledgements,
)
