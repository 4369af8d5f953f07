"""A node that mounts a failure detector: what it is told, what it answers, and the choice of the detector."""

from __future__ import annotations

import pytest

from framework import ConfigError, Ok, Step, SuspectsClient, SuspectsReply, SuspectsRequest, Violation
from framework.registry.registry import load
from framework.testing.cluster import Cluster
from plugins.protocols.failure_detector import register_protocols
from plugins.protocols.failure_detector.node import FailureDetector, FailureDetectorConfig, ToldEverything
from tests.composing import composed
from tests.sweep.outcomes import outcomes

DETECTORS = ("heartbeat", "phi_accrual", "swim")
BASE = ("protocol=failure_detector", "workload=suspects", "engine=sim", "nodes=3", "clients=1")


def cluster(detector: str) -> Cluster:
    made = Cluster.of(composed(*BASE, f"protocol.detector={detector}").experiment)
    made.run(lambda: made.now > 1_000_000_000)
    assert all(node.suspected == {} for node in made.nodes())
    return made


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_parent_is_told_of_a_crash_and_of_the_return(detector: str) -> None:
    nodes = cluster(detector)
    nodes.crash("n3")
    nodes.run(lambda: all("n3" in node.suspected for node in nodes.nodes()))
    assert [node.suspected for node in nodes.nodes()] == [{"n3": 1}] * 2
    assert nodes.node("n1").status.suspects == 1
    nodes.restart("n3")
    nodes.run(lambda: not any(node.suspected for node in nodes.nodes()))
    assert {node.detector.incarnation_of("n3") for node in nodes.nodes()[:2]} == {2}


def test_a_client_is_told_who_answers_and_whom_it_suspects() -> None:
    nodes = cluster("heartbeat")
    nodes.node("n2").suspected = {"n3": 1, "n1": 1}
    nodes.send("x1", "n2", SuspectsRequest(7))
    nodes.deliver(SuspectsRequest)
    nodes.deliver(SuspectsReply)
    assert nodes.inbox == {"x1": [SuspectsReply(7, ("n1", "n3"))]}


def test_a_client_asks_another_node_if_no_answer_comes() -> None:
    nodes = cluster("swim")
    operation = nodes.invoke("c1", "suspects")
    asked = [nodes.drop(SuspectsRequest).to]
    while len(set(asked)) < 3:
        nodes.fire("c1", "ask")
        asked.append(nodes.waiting(SuspectsRequest)[0].to)
        if len(set(asked)) < 3:
            nodes.drop(SuspectsRequest)
    nodes.deliver(SuspectsRequest)
    nodes.deliver(SuspectsReply)
    assert nodes.outcomes == {operation: Ok((asked[-1], ()))}
    assert ("", "ask", ()) not in nodes.timers("c1")


def test_a_late_answer_ends_nothing() -> None:
    nodes = cluster("swim")
    first = nodes.invoke("c1", "suspects")
    nodes.fire("c1", "ask")
    nodes.deliver_all(SuspectsRequest)
    nodes.deliver(SuspectsReply)
    second = nodes.invoke("c1", "suspects")
    nodes.deliver(SuspectsReply)  # the second one to the first question
    assert list(nodes.outcomes) == [first]
    assert ("", "ask", ()) in nodes.timers("c1")
    nodes.deliver(SuspectsRequest)
    nodes.deliver(SuspectsReply)
    assert list(nodes.outcomes) == [first, second]


def test_the_invariant_catches_a_parent_that_was_not_told() -> None:
    nodes = cluster("swim")
    nodes.node("n1").detector.suspected["n2"] = 1
    with pytest.raises(Violation, match=r"n1 has received \{\}, but its detector suspects \{'n2': 1\}"):
        ToldEverything().observe(Step("n1"), nodes.node("n1"))


def test_the_spec() -> None:
    [spec] = register_protocols()
    assert (spec.name, spec.node, spec.client, spec.config) == (
        "failure_detector", FailureDetector, SuspectsClient, FailureDetectorConfig,
    )  # fmt: skip
    assert spec.recovers and spec.settles


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_run_has_the_invariants_and_the_situations_of_its_detector(detector: str) -> None:
    own, spec = (
        load().registered.protocols[detector],
        composed(*BASE, f"protocol.detector={detector}").experiment.protocol,
    )
    assert spec.invariants == (ToldEverything, *own.invariants)
    assert spec.sometimes == own.sometimes


def test_the_settings_of_the_detector_are_checked() -> None:
    with pytest.raises(ConfigError) as refused:
        composed(*BASE, "protocol.detector=swim", "protocol.detector_config.period=10ms")
    assert "ping_timeout=50ms must be shorter than period=10ms" in str(refused.value)


@pytest.mark.parametrize("protocol", ["raft", "failure_detector"])
def test_what_is_no_detector_is_refused(protocol: str) -> None:
    with pytest.raises(ConfigError) as refused:
        composed(*BASE, f"protocol.detector={protocol}")
    assert f"detector={protocol}: it is no failure detector; swim is one" in str(refused.value)


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_experiments_are_valid(detector: str) -> None:
    (found,) = outcomes([f"experiment={detector}", "engine=sim", "duration=5s", "quiet=1s", "trace=history"], [0])
    assert found.verdict == "valid", found.reason
    assert found.sometimes["a node was suspected"]
