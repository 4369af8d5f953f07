"""Invariants of three-phase commit, besides those of every commit protocol.

| property | definition | source |
| --- | --- | --- |
| nonblocking | with `quorum`, a participant commits only when a majority is durably precommitted | Skeen 1982 |
| phase kept | a participant's phase is not lost, and the attempt that it was entered in never decreases, restarts included | Skeen 1981, section 5 |
| one phase an attempt | all participants that enter a phase in an attempt enter the same one | Skeen 1982 |
| promise order | the highest attempt that a participant heeds never decreases, restarts included | Skeen 1982, with numbered attempts |
| promise given | with `quorum`, every promise that a collector counts is kept by its participant | Keidar and Dolev 1998 |
| collector order | the rounds of a node's attempts never decrease, restarts included | |

`skeen` and `timeout` commit with those that answer, however few: agreement alone holds them, and only without
partitions.
"""

from __future__ import annotations

from framework import CLOCKS_APART, Ballot, Invariant, NodeId, OperationId, Step, Violation, WrittenKeys
from plugins.protocols.three_phase_commit.node import UNCERTAIN, Standing, ThreePhaseCommit, voters


class Attempts(Invariant[ThreePhaseCommit]):
    """Checks one phase an attempt, phase kept, promise order, and collector order."""

    def __init__(self) -> None:
        self.rounds: dict[NodeId, int] = {}
        self.standings = WrittenKeys()
        self.known: dict[tuple[NodeId, OperationId], Standing] = {}
        self.phases: dict[tuple[OperationId, Ballot], tuple[str, NodeId]] = {}

    def observe(self, step: Step, node: ThreePhaseCommit) -> None:
        name = step.node
        if node.round < self.rounds.get(name, 0):
            what = f"{name} used round {self.rounds[name]}, and has gone back to {node.round}"
            raise Violation("collector order", (name,), what)
        self.rounds[name] = node.round
        changed = self.standings.since(step, node.standings)
        if step.started:
            changed += [each for owner, each in self.known if owner == name and each not in node.standings]
        for transaction in changed:
            self._check(name, transaction, node)

    def _check(self, name: NodeId, transaction: OperationId, node: ThreePhaseCommit) -> None:
        standing = node.standings.get(transaction) or UNCERTAIN
        known = self.known.get((name, transaction), UNCERTAIN)
        if standing.promised < known.promised:
            what = f"transaction {transaction}: {name} promised {known.promised}, and {standing.promised if standing.promised.round else 'nothing'} now"
            raise Violation("promise order", (name,), what, operation=transaction)
        if known.phase != "uncertain" and (standing.phase == "uncertain" or standing.entered < known.entered):
            what = f"transaction {transaction}: {name} was {known.phase}, and has gone back to {standing.phase}"
            raise Violation("phase kept", (name,), what, operation=transaction)
        self.known[name, transaction] = standing
        if standing.phase == "uncertain" or node.config.termination != "quorum":
            return
        phase, where = self.phases.setdefault((transaction, standing.entered), (standing.phase, name))
        if phase != standing.phase:
            what = f"transaction {transaction}, attempt {standing.entered}: {where} is {phase}, and {name} {standing.phase}"
            raise Violation("one phase an attempt", dict.fromkeys((where, name)), what, operation=transaction)


class Precommitted(Invariant[ThreePhaseCommit]):
    """Checks nonblocking, once the states of the participants are certainly newer than the commit."""

    def __init__(self) -> None:
        self.decisions, self.standings = WrittenKeys(), WrittenKeys()
        self.ready: dict[OperationId, set[NodeId]] = {}
        self.asked: dict[OperationId, tuple[NodeId, ...]] = {}
        self.committed: dict[OperationId, tuple[NodeId, int]] = {}

    def observe(self, step: Step, node: ThreePhaseCommit) -> None:
        name = step.node
        for transaction in self.standings.since(step, node.standings):
            standing = node.standings.get(transaction) or UNCERTAIN
            if standing.phase == "precommitted":
                self.ready.setdefault(transaction, set()).add(name)
                self.asked[transaction] = voters(node.votes[transaction].transaction)
        if node.config.termination == "quorum":
            for transaction in self.decisions.since(step, node.decisions):
                if node.decisions.get(transaction) == "committed" and transaction in node.votes:
                    self.asked[transaction] = voters(node.votes[transaction].transaction)
                    self.committed.setdefault(transaction, (name, step.time))
        for transaction, (where, time) in list(self.committed.items()):
            if step.time < time + CLOCKS_APART:
                return  # as are all that follow
            del self.committed[transaction]
            ready, asked = self.ready.get(transaction, set()), self.asked[transaction]
            if 2 * len(ready) <= len(asked):
                few = ", ".join(sorted(ready)) or "nobody"
                what = f"{where} considers transaction {transaction} committed, but of {', '.join(asked)} only {few} precommitted"
                raise Violation("nonblocking", (where,), what, operation=transaction)


class Promises(Invariant[ThreePhaseCommit]):
    """Checks promise given. A participant is checked once its state is certainly newer than the promise counted."""

    def __init__(self) -> None:
        self.owed: dict[NodeId, dict[OperationId, tuple[Ballot, NodeId, int]]] = {}  # attempt, collector, time

    def observe(self, step: Step, node: ThreePhaseCommit) -> None:
        if node.config.termination != "quorum":
            return
        for transaction, collection in node.collections.items():
            for participant in collection.states:
                owed = self.owed.setdefault(participant, {})
                owed.setdefault(transaction, (collection.attempt, step.node, step.time))
        owed = self.owed.get(step.node, {})
        for transaction, (attempt, collector, time) in list(owed.items()):
            if step.time < time + CLOCKS_APART:
                return  # as are all that follow
            del owed[transaction]
            promised = (node.standings.get(transaction) or UNCERTAIN).promised
            if promised < attempt and transaction not in node.decisions:
                what = (
                    f"transaction {transaction}: {collector} counts on its promise of {attempt}, and it knows of none"
                )
                raise Violation("promise given", dict.fromkeys((step.node, collector)), what, operation=transaction)


INVARIANTS = (Attempts, Promises, Precommitted)
