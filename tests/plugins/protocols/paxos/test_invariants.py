"""Each of the Synod's invariants catches a Synod that is broken on purpose, and names what is broken and where."""

from __future__ import annotations

import pytest

from experiments.planted_bugs.paxos_mutants import (
    AcceptsBelowItsPromise,
    ForgetsItsPromises,
    ForgetsItsVotes,
    PromisesAnything,
    ReusesBallots,
)
from framework import Ballot, Message, NodeId, Step, Violation
from framework.core.time import SECOND
from framework.testing.cluster import Cluster
from plugins.protocols.paxos.config import PaxosConfig
from plugins.protocols.paxos.invariants import INVARIANTS
from plugins.protocols.paxos.messages import Accept, Decided, Prepare, Promise, Propose
from plugins.protocols.paxos.node import Paxos

NODES = ("n1", "n2", "n3")
ONE, TWO = Ballot(1, "n1"), Ballot(2, "n2")


class Watched:
    """Three nodes, told one message a second; whatever they say is lost. Violation as soon as an invariant breaks."""

    def __init__(self, node: type[Paxos] = Paxos) -> None:
        self.cluster = Cluster(node, PaxosConfig(), NODES)
        self.seconds = 0
        self.invariants = [invariant() for invariant in INVARIANTS]
        for name in NODES:
            self.look(name, started=True)

    def tell(self, name: NodeId, *messages: Message) -> None:
        for message in messages:
            self.cluster.drop_all()
            self.cluster.deliver(self.cluster.send("n2", name, message))
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
    synod = Watched(PromisesAnything)
    synod.tell("n1", Prepare("x", TWO))
    with pytest.raises(Violation, match=r"promise order broken at n1: x: promised 2\.n2, then went back to 1\.n1"):
        synod.tell("n1", Prepare("x", ONE))


def test_a_round_that_does_not_survive_a_crash() -> None:
    synod = Watched(ReusesBallots)
    synod.tell("n1", Propose(0, "x", "a"))
    with pytest.raises(Violation, match="round order broken at n1: x: went back from round 1 to 0"):
        synod.restart("n1")


def test_a_promise_that_does_not_survive_a_crash() -> None:
    synod = Watched(ForgetsItsPromises)
    synod.tell("n1", Prepare("x", TWO))
    with pytest.raises(Violation, match="promise order broken at n1"):
        synod.restart("n1")


def test_a_vote_that_does_not_survive_a_crash() -> None:
    synod = Watched(ForgetsItsVotes)
    synod.tell("n1", Accept("x", ONE, "a"))
    with pytest.raises(Violation, match=r"vote order broken at n1: x: lost what it had accepted in 1\.n1"):
        synod.restart("n1")


def test_a_vote_below_the_promise() -> None:
    synod = Watched(AcceptsBelowItsPromise)
    synod.tell("n1", Prepare("x", TWO))
    with pytest.raises(Violation, match=r"promise kept broken at n1: x: accepted 1\.n1 after it had promised 2\.n2"):
        synod.tell("n1", Accept("x", ONE, "a"))


def test_a_promise_told_and_never_kept() -> None:
    synod = Watched()
    synod.tell("n1", Propose(0, "x", "a"), Promise("x", ONE, None))
    with pytest.raises(Violation, match=r"promise given broken at n2, n1: x: n1 counts on its promise of 1\.n1"):
        synod.look("n2")


def test_two_values_in_one_ballot() -> None:
    synod = Watched()
    synod.tell("n1", Accept("x", ONE, "a"))
    with pytest.raises(
        Violation, match=r"one value a ballot broken at n1, n2: x: accepted 'a' and 'b' in ballot 1\.n1"
    ):
        synod.tell("n2", Accept("x", ONE, "b"))


def test_two_decisions() -> None:
    synod = Watched()
    synod.tell("n1", Decided("x", ONE, "a"))
    with pytest.raises(Violation, match=r"agreement broken at n1, n2: x decided 'a' in ballot 1\.n1, and 'b' in 2\.n2"):
        synod.tell("n2", Decided("x", TWO, "b"))


def test_a_decision_that_is_changed_by_the_node_itself_after_a_crash() -> None:
    synod = Watched()
    synod.tell("n1", Accept("x", ONE, "a"), Decided("x", ONE, "a"))
    synod.restart("n1")
    with pytest.raises(Violation, match="agreement broken at n1: "):
        synod.tell("n1", Decided("x", TWO, "b"))


def test_another_value_accepted_after_a_decision() -> None:
    synod = Watched()
    for name in ("n1", "n2"):
        synod.tell(name, Accept("x", ONE, "a"))
    synod.tell("n1", Decided("x", ONE, "a"))
    with pytest.raises(Violation, match="chosen for ever broken at n1, n3: x decided 'a' in ballot"):
        synod.tell("n3", Accept("x", TWO, "b"))


def test_another_value_accepted_in_a_later_ballot_before_anyone_saw_the_decision() -> None:
    synod = Watched()
    synod.tell("n3", Accept("x", TWO, "b"))
    for name in ("n1", "n2"):
        synod.tell(name, Accept("x", ONE, "a"))
    with pytest.raises(Violation, match="chosen for ever broken at n1, n3: x decided 'a' in ballot"):
        synod.tell("n1", Decided("x", ONE, "a"))


def test_a_decision_that_no_quorum_voted_for() -> None:
    synod = Watched()
    synod.tell("n1", Accept("x", ONE, "a"), Decided("x", ONE, "a"))
    synod.look("n2")
    with pytest.raises(Violation, match=r"chosen by a quorum broken at n1, n2, n3: .*, and n2, n3 never accepted it"):
        synod.look("n3")


def test_votes_in_different_ballots_are_no_quorum() -> None:
    synod = Watched()
    synod.tell("n1", Accept("x", ONE, "a"))
    synod.tell("n2", Accept("x", TWO, "a"))
    synod.tell("n3", Decided("x", TWO, "a"))
    synod.look("n1")
    with pytest.raises(Violation, match=r"chosen by a quorum broken at n3, n1: .*, and n1, n3 never accepted it"):
        synod.look("n3")


def test_a_vote_repeated_in_a_higher_ballot_still_counts() -> None:
    synod = Watched()
    for name in ("n1", "n2"):
        synod.tell(name, Accept("x", ONE, "a"), Accept("x", TWO, "a"))
    synod.tell("n3", Decided("x", ONE, "a"))
    for name in NODES:
        synod.restart(name)
        synod.look(name)


def test_instances_are_apart() -> None:
    synod = Watched()
    for name in NODES:
        synod.tell(name, Accept("x", ONE, "a"), Accept("y", ONE, "b"))
    for name in NODES:
        synod.tell(name, Decided("y", ONE, "b"), Decided("x", ONE, "a"))
