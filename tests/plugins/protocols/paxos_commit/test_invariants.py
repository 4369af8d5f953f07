"""Each invariant catches a Paxos Commit that is broken on purpose, and names what is broken and where."""

from __future__ import annotations

import pytest

from experiments.planted_bugs.paxos_commit_mutants import (
    AcceptsBelowItsPromise,
    ForgetsItsLocks,
    ForgetsItsPromises,
    ForgetsWhatItAccepted,
    PromisesAnything,
    ReusesBallots,
)
from framework import COMMIT_INVARIANTS, Ballot, Message, NodeId, Proposal, Step, Transaction, Violation
from framework.core.time import SECOND
from plugins.protocols.paxos_commit.invariants import INVARIANTS
from plugins.protocols.paxos_commit.messages import Decided, Inquire, Phase1a, Phase1b, Phase2a, Phase2b, Prepare
from plugins.protocols.paxos_commit.node import PaxosCommit
from tests.plugins.protocols.paxos_commit.clusters import CO_LOCATED, cluster, votes

NODES = ("n1", "n2", "n3")
CONTENT = Transaction(0, "x", votes(NODES))
ONE, TWO = Ballot(1, "n1"), Ballot(2, "n2")
PREPARE = Prepare(0, CONTENT)


def proposing(ballot: Ballot, value: str, *participants: NodeId) -> Phase2a:
    return Phase2a(0, NODES, "n1", tuple((each, Proposal(ballot, value)) for each in participants or NODES))


class Watched:
    """Three nodes that vote, accept and lead, told one message a second; whatever they say is lost. Violation as soon as an
    invariant breaks."""

    def __init__(self, node: type[PaxosCommit] = PaxosCommit) -> None:
        self.cluster = cluster(3, *CO_LOCATED, node=node)
        self.seconds = 0
        self.invariants = [invariant() for invariant in (*COMMIT_INVARIANTS, *INVARIANTS)]
        for name in NODES:
            self.look(name, started=True)

    def tell(self, name: NodeId, *messages: Message, sender: NodeId = "n2") -> None:
        for message in messages:
            self.cluster.drop_all()
            self.cluster.deliver(self.cluster.send(sender, name, message))
            self.look(name)

    def look(self, name: NodeId, *, started: bool = False) -> None:
        self.seconds += 1
        step = Step(name)
        step.time = self.seconds * SECOND
        step.started = started
        for invariant in self.invariants:
            invariant.observe(step, self.cluster.node(name))

    def restart(self, name: NodeId) -> None:
        self.cluster.crash(name)
        self.cluster.restart(name)
        self.look(name, started=True)


def test_a_promise_that_falls() -> None:
    cut = Watched(PromisesAnything)
    cut.tell("n1", Phase1a(0, TWO, NODES))
    with pytest.raises(Violation, match=r"promise order broken at n1: 0/n3: promised 2\.n2, then went back to 1\.n1"):
        cut.tell("n1", Phase1a(0, ONE, NODES))


def test_a_promise_that_does_not_survive_a_crash() -> None:
    cut = Watched(ForgetsItsPromises)
    cut.tell("n1", Phase1a(0, TWO, NODES))
    with pytest.raises(Violation, match="promise order broken at n1"):
        cut.restart("n1")


def test_a_vote_that_does_not_survive_a_crash() -> None:
    cut = Watched(ForgetsWhatItAccepted)
    cut.tell("n1", proposing(ONE, "aborted"))
    with pytest.raises(Violation, match=r"vote order broken at n1: 0/n3: lost what it had accepted in 1\.n1"):
        cut.restart("n1")


def test_a_vote_below_the_promise() -> None:
    cut = Watched(AcceptsBelowItsPromise)
    cut.tell("n1", Phase1a(0, TWO, NODES))
    with pytest.raises(Violation, match=r"promise kept broken at n1: 0/n3: accepted 1\.n1 after it had promised 2\.n2"):
        cut.tell("n1", proposing(ONE, "aborted"))


def test_a_round_that_is_used_twice() -> None:
    cut = Watched(ReusesBallots)
    cut.tell("n1", Inquire(0, CONTENT))
    with pytest.raises(Violation, match="round order broken at n1: went back from round 1 to 0"):
        cut.restart("n1")


def test_two_values_in_a_ballot() -> None:
    cut = Watched()
    cut.tell("n1", proposing(ONE, "aborted"))
    with pytest.raises(
        Violation, match=r"one value a ballot broken at n1, n2: .* 'aborted' and 'prepared' in ballot 1\.n1"
    ):
        cut.tell("n2", proposing(ONE, "prepared"))


@pytest.mark.parametrize("chosen_first", [True, False])
def test_another_value_after_one_is_chosen(chosen_first: bool) -> None:
    cut = Watched()
    told = [("n1", ONE, "aborted"), ("n2", ONE, "aborted"), ("n3", TWO, "prepared")]
    *before, (name, ballot, value) = told if chosen_first else told[1:] + told[:1]
    for each in before:
        cut.tell(each[0], proposing(each[1], each[2]))
    with pytest.raises(
        Violation, match=r"chosen for ever broken at .*: 0/n3 chose 'aborted' in 1\.n1, and n3 accepted"
    ):
        cut.tell(name, proposing(ballot, value))


def test_another_value_in_a_ballot_below_the_one_that_has_chosen_is_none() -> None:
    cut = Watched()
    cut.tell("n3", proposing(ONE, "aborted"))
    cut.tell("n1", proposing(TWO, "prepared"))
    cut.tell("n2", proposing(TWO, "prepared"))


def test_ballot_0_of_another_participant() -> None:
    cut = Watched()
    with pytest.raises(Violation, match=r"own ballot broken at n1, n2: 0/n3: accepted in ballot 0\.n2"):
        cut.tell("n1", proposing(Ballot(0, "n2"), "prepared"))


def test_ballot_0_without_a_vote() -> None:
    cut = Watched()
    for participant in NODES:
        cut.tell("n1", proposing(Ballot(0, participant), "prepared", participant))
    with pytest.raises(Violation, match=r"own ballot broken at n2: 0/n2: 'prepared' was accepted .* vote is None"):
        cut.look("n2")


def test_a_promise_that_is_counted_and_not_there() -> None:
    cut = Watched()
    cut.tell("n1", Inquire(0, CONTENT))
    cut.tell("n1", Phase1b(0, ONE, ()), sender="n3")
    with pytest.raises(Violation, match=r"promise given broken at n3, n1: .* n1 counts on its promise of 1\.n1"):
        cut.look("n3")


def test_a_commit_that_no_quorum_has_chosen() -> None:
    cut = Watched()
    for name in NODES:
        cut.tell(name, PREPARE)
    cut.tell("n1", Decided(0, "committed"))
    cut.look("n2")
    with pytest.raises(
        Violation, match="chosen by a quorum broken at n1, n2, n3: n1 considers transaction 0 committed"
    ):
        cut.look("n3")


def test_a_commit_that_a_quorum_has_chosen() -> None:
    cut = Watched()
    for name in NODES:
        cut.tell(name, PREPARE)
    accepted = tuple((each, Proposal(Ballot(0, each), "prepared")) for each in NODES)
    for name in ("n2", "n3"):
        cut.tell(name, *(proposing(Ballot(0, each), "prepared", each) for each in NODES))
    for name in ("n2", "n3"):
        cut.tell("n1", Phase2b(0, NODES, accepted), sender=name)
    assert cut.cluster.node("n1").decision_of(0) == "committed"
    for name in NODES:
        cut.look(name)


def test_a_lock_that_does_not_survive_a_crash() -> None:
    cut = Watched(ForgetsItsLocks)
    cut.tell("n1", PREPARE)
    with pytest.raises(Violation, match="locked broken at n1: n1 holds no lock on x for transaction 0"):
        cut.restart("n1")


def test_a_decision_in_memory_that_is_another_one() -> None:
    cut = Watched()
    cut.tell("n1", Decided(0, "aborted"))
    cut.cluster.node("n2").unforced[0] = "committed"
    with pytest.raises(Violation, match="agreement broken at n1, n2: transaction 0 is aborted at n1, and committed"):
        cut.look("n2")
