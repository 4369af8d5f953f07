"""The Synod driven by hand, and whole runs of it with every kind of quorum."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from framework import NO_BALLOT, Ballot, Fail, NodeId, Ok, OperationId, Proposal
from framework.checking.verdict import Verdict
from framework.core.time import MILLISECOND
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from framework.testing.cluster import Cluster
from plugins.protocols.paxos.client import PaxosClient
from plugins.protocols.paxos.config import PaxosConfig
from plugins.protocols.paxos.messages import Accept, Accepted, Nack, Prepare, Promise, Propose
from plugins.protocols.paxos.node import Paxos
from tests.composing import composed
from tests.core.bench import Bench, Sent, readable
from tests.written import written

FIVE = ("n1", "n2", "n3", "n4", "n5")


def cluster(seed: int = 0, **settings: Any) -> Cluster:
    config = written(PaxosConfig, **settings)
    return Cluster(Paxos, config, FIVE, client=PaxosClient, clients=("c1", "c2"), seed=seed)


def decided(cluster: Cluster, instance: str = "x") -> dict[NodeId, str]:
    nodes = [(name, cluster.node(name)) for name in cluster.up if name in FIVE]
    return {name: node.decided[instance].value for name, node in nodes if instance in node.decided}


# Duels (Paxos Made Simple, section 2.4).


def tick(cluster: Cluster) -> None:
    """A synchronous network at its most unkind: all that is on its way arrives within the millisecond, Prepare first."""
    for envelope in sorted(cluster.envelopes, key=lambda each: not isinstance(each.message, Prepare)):
        cluster.deliver(envelope)
    cluster.advance(MILLISECOND)


def duel(seed: int, ticks: int, **settings: Any) -> Cluster:
    """Two proposers, the second of which begins when the first is about to ask for votes."""
    duelling = cluster(seed, proposers=["n1", "n2"], acceptors=["n3", "n4", "n5"], **settings)
    for client in ("c1", "c2"):
        duelling.invoke(client, "propose", "x", client)
    first, second = (
        dataclasses.replace(envelope, to=to) for envelope, to in zip(duelling.envelopes, ("n1", "n2"), strict=True)
    )
    duelling.envelopes[:] = [first]
    for number in range(ticks):
        if number == 2:
            duelling.envelopes.append(second)
        tick(duelling)
    return duelling


def test_without_backoff_two_proposers_may_go_on_for_ever() -> None:
    duelling = duel(0, 90, backoff="none")
    assert decided(duelling) == {}
    assert min(duelling.node(name).rounds["x"] for name in ("n1", "n2")) >= 40


@pytest.mark.parametrize("seed", range(10))
def test_a_randomised_backoff_ends_the_same_duel(seed: int) -> None:
    duelling = duel(seed, 90, backoff="randomised", backoff_delay="10ms")
    assert set(decided(duelling)) == set(FIVE)
    assert len(set(decided(duelling).values())) == 1
    assert duelling.outcomes == dict.fromkeys((0, 1), Ok(decided(duelling)["n1"]))


# Refusals (section 2.2).


def refuse(proposer: Bench, *acceptors: NodeId) -> Ballot:
    """These refuse the first ballot of n1; the ballot that is under way then."""
    for acceptor in acceptors:
        proposer.step(acceptor, Nack("x", Ballot(1, "n1"), Ballot(2, "n5")))
    proposer.finish()
    ballot: Ballot = proposer.node.attempts["x"].ballot
    return ballot


def proposing(*promises: NodeId, **settings: Any) -> Bench:
    """n1 has begun its first ballot, and these have promised."""
    proposer = Bench(Paxos, written(PaxosConfig, **settings), peers=FIVE[1:])
    proposer.step("c1", Propose(0, "x", "a"))
    for acceptor in promises:
        proposer.step(acceptor, Promise("x", Ballot(1, "n1"), None))
    proposer.finish()
    return proposer


def test_a_minority_of_refusals_does_not_end_a_ballot_for_which_a_quorum_can_still_vote() -> None:
    proposer = proposing("n1", "n2", "n3")
    assert refuse(proposer, "n4", "n5", "n5") == Ballot(1, "n1")
    for acceptor in ("n1", "n2", "n3"):
        proposer.step(acceptor, Accepted("x", Ballot(1, "n1"), "a"))
    assert proposer.node.decided["x"] == Proposal(Ballot(1, "n1"), "a")


def test_a_minority_of_refusals_does_not_end_a_ballot_that_a_quorum_can_still_promise() -> None:
    proposer = proposing("n1")
    assert refuse(proposer, "n4", "n5") == Ballot(1, "n1")
    for acceptor in ("n2", "n3"):
        proposer.step(acceptor, Promise("x", Ballot(1, "n1"), None))
    assert proposer.node.attempts["x"].prepared


def test_a_ballot_is_given_up_once_no_quorum_is_left() -> None:
    proposer = proposing("n1", "n2", "n3", backoff="fixed", backoff_delay="7ms")
    assert refuse(proposer, "n3", "n4", "n5") == NO_BALLOT
    proposer.advance(7 * MILLISECOND)
    assert proposer.node.attempts["x"].ballot == Ballot(3, "n1")


@pytest.mark.parametrize(
    ("promises", "refusals", "can_win"),
    [
        (("n1",), ("n5",), True),
        (("n1",), ("n4", "n5"), False),  # four must promise
        (("n1", "n2", "n3", "n4"), ("n3", "n4", "n5"), True),  # two must vote
        (("n1", "n2", "n3", "n4"), ("n2", "n3", "n4", "n5"), False),
    ],
)
def test_which_quorum_must_be_left_depends_on_the_phase(
    promises: tuple[NodeId, ...], refusals: tuple[NodeId, ...], can_win: bool
) -> None:
    proposer = proposing(*promises, quorums={"kind": "flexible", "phase1": 4, "phase2": 2})
    assert (refuse(proposer, *refusals) == Ballot(1, "n1")) == can_win


# Crashes (section 2.5).


def test_no_accept_leaves_before_its_round_is_durable_though_promises_to_an_earlier_life_are_there() -> None:
    proposer = Bench(Paxos, written(PaxosConfig), peers=FIVE[1:])
    proposer.step("c1", Propose(0, "x", "a"))
    assert readable(proposer.host.early) == [Sent(node, Prepare("x", Ballot(1, "n1"))) for node in FIVE]
    proposer.boot()  # a crash took the commit

    proposer.step("c2", Propose(1, "x", "b"))
    for acceptor in FIVE[1:4]:
        proposer.step(acceptor, Promise("x", Ballot(1, "n1"), None))
    assert readable(proposer.host.early) == [Sent(node, Prepare("x", Ballot(1, "n1"))) for node in FIVE]
    proposer.finish()
    accepts = [sent for sent in readable(proposer.last.effects) if isinstance(sent, Sent)]
    assert accepts == [Sent(node, Accept("x", Ballot(1, "n1"), "b")) for node in FIVE]
    assert proposer.storage.load() == {"": {"rounds": {"x": 1}}}


# Clients.


def test_a_client_without_an_answer_asks_another_proposer_and_is_told_the_same() -> None:
    synod = cluster()
    operation: OperationId = synod.invoke("c1", "propose", "x", "a")
    asked = synod.envelopes[0].to
    synod.stabilize()
    synod.outcomes.clear()
    operation = synod.invoke("c1", "propose", "x", "b")
    first = synod.drop().to
    synod.fire("c1", "ask")
    assert synod.envelopes[0].to != first
    synod.stabilize()
    assert synod.outcomes == {operation: Ok("a")}, asked


def test_what_is_no_text_is_refused_before_anyone_is_asked() -> None:
    synod = cluster()
    operation = synod.invoke("c1", "propose", "x", 3)
    assert synod.outcomes == {operation: Fail("a proposal is a text")}
    assert synod.envelopes == []


def test_instances_decide_apart_from_one_another() -> None:
    synod = cluster()
    for instance, value in (("x", "a"), ("y", "b")):
        synod.invoke("c1", "propose", instance, value)
        synod.stabilize()
    assert set(decided(synod, "x").values()) == {"a"}
    assert set(decided(synod, "y").values()) == {"b"}


# Whole runs.


def run(folder: Path, *overrides: str) -> RunResult:
    made = composed("experiment=paxos_5nodes", "engine=sim", "duration=500ms", "trace=history", *overrides)
    experiment = dataclasses.replace(made.experiment, run_dir=folder)
    plan = Plan(
        experiment=experiment, config=made.config, engine="sim", checkers=made.checkers, models=made.models
    )  # fmt: skip
    return execute(plan, engine_named("sim"), lambda now, tally: None)


@pytest.mark.long
@pytest.mark.parametrize(
    "overrides",
    [
        ("protocol.learning=proposer",),
        ("protocol.quorums={kind: flexible, phase1: 4, phase2: 2}",),
        ("protocol.quorums={kind: weighted, weights: {n1: 3}}",),
        ("nodes=6", "protocol.quorums={kind: grid, rows: 2, columns: 3}"),
        ("nodes=12", "protocol.quorums={kind: grid, rows: 3}"),
        ("protocol.proposers=[n1,n2]", "protocol.acceptors=[n3,n4,n5]", "protocol.learners=[n1]"),
        ("workload.proposals=0",),
        ("nodes=1",),
    ],
    ids=" ".join,
)
def test_it_decides_with_any_cast_and_any_quorums(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    result = run(tmp_path, *overrides)
    assert result.verdict is Verdict.VALID, result.reasons
    assert result.operations["ok"] > 100


def test_quorums_that_miss_one_another_decide_twice_and_the_checker_sees_it(tmp_path: Path) -> None:
    unsafe = "protocol.quorums={kind: flexible, phase1: 2, phase2: 2, unsafe: true}"
    seen = run(tmp_path, unsafe, "network=lossy", "engine.check_invariants_every=0", "seed=2")
    assert seen.verdict is Verdict.INVALID
    assert "linearizability" in seen.reasons[0]


def test_quorums_that_miss_one_another_break_an_invariant_too(tmp_path: Path) -> None:
    unsafe = "protocol.quorums={kind: flexible, phase1: 2, phase2: 2, unsafe: true}"
    seen = run(tmp_path, unsafe, "network=lossy")
    assert seen.verdict is Verdict.INVALID
    assert seen.reasons[0].startswith(("agreement", "chosen for ever", "chosen by a quorum"))
