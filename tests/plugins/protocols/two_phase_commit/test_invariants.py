"""Each invariant of two-phase commit catches a node that is broken on purpose, and names what is broken and where."""

from __future__ import annotations

import pytest

from experiments.planted_bugs.two_phase_commit_mutants import (
    AcknowledgesEarly,
    ChangesItsVote,
    CommitsWithoutAllVotes,
    ForcesNoCollectingRecord,
    ForgetsItsLocks,
    ForgetsItsTable,
    HasNoCollectingRecord,
    PresumesCommit,
    VotesLazily,
)
from framework import NodeId, Step, Violation
from framework.core.time import SECOND
from plugins.protocols.two_phase_commit.invariants import INVARIANTS
from plugins.protocols.two_phase_commit.messages import Acknowledged, Decide, Inquire, Prepare, Voted
from plugins.protocols.two_phase_commit.node import TwoPhaseCommit
from tests.plugins.protocols.two_phase_commit.stories import cluster, commit


class Watched:
    """Observes each node after each of its batches; a second passes from one batch to the next."""

    def __init__(self, node: type[TwoPhaseCommit] = TwoPhaseCommit, *settings: str) -> None:
        self.cluster = cluster(*settings, node=node)
        self.invariants = [invariant() for invariant in INVARIANTS]
        self.seconds = 0
        for name in self.cluster.servers:
            self.look(name, started=True)
        self.cluster.on_commit = self.look

    def look(self, name: NodeId, *, started: bool = False) -> None:
        self.seconds += 1
        step = Step(name)
        step.time, step.started = self.seconds * SECOND, started
        for invariant in self.invariants:
            if isinstance(self.cluster.node(name), invariant.watches):
                invariant.observe(step, self.cluster.node(name))

    def restart(self, name: NodeId) -> None:
        looks, self.cluster.on_commit = self.cluster.on_commit, None
        self.cluster.crash(name)
        self.cluster.restart(name)
        self.cluster.on_commit = looks
        self.look(name, started=True)


def test_the_protocol_itself() -> None:
    watched = Watched()
    commit(watched.cluster, "yes", "yes", "read-only")
    watched.cluster.stabilize()
    for name in watched.cluster.servers:
        watched.restart(name)
    watched.cluster.stabilize()


def test_a_commit_without_all_votes() -> None:
    watched = Watched(CommitsWithoutAllVotes)
    commit(watched.cluster, "yes", "yes", "no")
    with pytest.raises(Violation, match="unanimous broken at n1, n4: n1 considers transaction 0 committed, but n4"):
        watched.cluster.stabilize()


def test_two_decisions() -> None:
    watched = Watched(ChangesItsVote)
    commit(watched.cluster, "yes", "yes", "yes")
    watched.cluster.deliver_all(Prepare)
    watched.cluster.fire("n2", "inquire")
    watched.cluster.drop_all(Inquire)
    with pytest.raises(Violation, match="agreement broken at n1, n3: transaction 0 is committed at n1"):
        watched.cluster.stabilize()


def test_a_decision_that_is_not_forced_counts_as_well() -> None:
    watched = Watched(TwoPhaseCommit, "presumed=commit")
    operation = commit(watched.cluster, "yes", "yes", "yes")
    watched.cluster.stabilize()
    watched.restart("n2")
    watched.cluster.drop_all()
    with pytest.raises(Violation, match="agreement broken at n1, n2: transaction 0 is committed at n1"):
        watched.cluster.deliver(watched.cluster.send("n1", "n2", Decide(operation, "aborted")))


def test_a_commit_that_its_coordinator_does_not_know() -> None:
    watched = Watched(PresumesCommit)
    commit(watched.cluster, "yes", "yes", "yes")
    watched.cluster.deliver_all(Prepare)
    watched.cluster.drop_all(Voted)
    watched.restart("n1")
    watched.cluster.fire("n2", "inquire")
    watched.cluster.deliver(Inquire)
    watched.cluster.deliver(Decide)
    with pytest.raises(Violation, match="coordinator first broken at n2, n1: n2 has committed transaction 0 before n1"):
        watched.look("n3")


def test_a_vote_without_a_collecting_record() -> None:
    watched = Watched(HasNoCollectingRecord, "presumed=commit")
    commit(watched.cluster, "yes", "yes", "yes")
    watched.cluster.deliver(Prepare, to="n2")
    with pytest.raises(
        Violation, match="collecting first broken at n2, n1: n2 has voted yes on transaction 0 before n1"
    ):
        watched.look("n3")


@pytest.mark.parametrize(
    ("node", "presumed"),
    [(ForcesNoCollectingRecord, "commit"), (ForgetsItsTable, "abort"), (ForgetsItsTable, "commit")],
)
def test_a_table_that_does_not_survive_a_crash(node: type[TwoPhaseCommit], presumed: str) -> None:
    watched = Watched(node, f"presumed={presumed}")
    commit(watched.cluster, "yes", "yes", "yes")
    if presumed == "abort":
        watched.cluster.deliver_all(Prepare)
        watched.cluster.deliver_all(Voted)
    watched.restart("n1")
    with pytest.raises(Violation, match="forgotten last broken at n1, n2: n1 does not await n2 in transaction 0"):
        watched.look("n3")


def test_a_table_whose_end_is_not_durable_comes_back() -> None:
    watched = Watched()
    commit(watched.cluster, "yes", "yes", "yes")
    watched.cluster.stabilize()
    watched.restart("n1")
    watched.cluster.stabilize()
    watched.look("n3")


def test_an_acknowledgement_that_is_not_durable() -> None:
    watched = Watched(AcknowledgesEarly)
    commit(watched.cluster, "yes", "yes", "yes")
    watched.cluster.deliver_all(Prepare)
    watched.cluster.deliver_all(Voted)
    watched.cluster.slow_disk("n2")
    watched.cluster.deliver(Decide, to="n2")
    watched.cluster.deliver(Acknowledged)
    with pytest.raises(Violation, match="forgotten last broken at n1, n2: n1 does not await n2 in transaction 0"):
        watched.look("n3")


def test_a_lock_that_does_not_survive_a_crash() -> None:
    watched = Watched(ForgetsItsLocks)
    commit(watched.cluster, "yes", "yes", "yes")
    watched.cluster.deliver_all(Prepare)
    with pytest.raises(Violation, match="locked broken at n2: n2 holds no lock on x for transaction 0"):
        watched.restart("n2")


def test_a_vote_that_does_not_survive_a_crash() -> None:
    watched = Watched(VotesLazily)
    commit(watched.cluster, "yes", "yes", "yes")
    watched.cluster.deliver_all(Prepare)
    with pytest.raises(Violation, match="kept vote broken at n2"):
        watched.restart("n2")
