"""The Synod as a plugin: its spec and its config."""

from __future__ import annotations

import msgspec
import pytest

from framework import ConfigError
from framework.core.message import check_message
from plugins.protocols.paxos import register_protocols
from plugins.protocols.paxos.config import PaxosConfig, in_order
from tests.composing import composed
from tests.written import written

BASE = ("protocol=paxos", "workload=propose", "engine=sim", "nodes=5")


def test_the_spec() -> None:
    [spec] = register_protocols()
    assert (spec.name, spec.config, spec.model, spec.operations) == ("paxos", PaxosConfig, "consensus", ("propose",))
    assert spec.recovers
    for message in (*spec.node._handlers, *spec.client._handlers):
        check_message(message)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("acceptors=[n1,n2,n9]", "protocol.acceptors=[n1,n2,n9]: there is no node 'n9'. There are: n1, "),
        ("proposers=[n7]", "protocol.proposers=[n7]: there is no node 'n7'. "),
        ("learners=[n1,n1]", "protocol.learners=[n1,n1]: a node is named twice in n1, n1"),
        ("quorums={kind: flexible, phase1: 2, phase2: 2}", "which share no node"),
        ("backof=none", "Did you mean 'backoff'?"),
        ("backoff=randomized", "unknown value 'randomized'. Did you mean 'randomised'?"),
        ("phase_timeout=0", "phase_timeout=0 leaves no time for an answer"),
    ],
)
def test_what_cannot_decide_is_refused_before_the_run(setting: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        composed(*BASE, f"protocol.{setting}")
    assert complaint in str(refused.value)
    assert str(refused.value).startswith("command line: protocol")


def test_quorums_are_over_the_acceptors_not_over_all_nodes() -> None:
    three = composed(*BASE, "protocol.acceptors=[n1,n2,n3]", "protocol.quorums={kind: flexible, phase1: 2, phase2: 2}")
    assert three.experiment.protocol_config.acceptors == ("n1", "n2", "n3")
    with pytest.raises(ConfigError, match="phase1=4 of 3 nodes can never be a quorum"):
        composed(*BASE, "protocol.acceptors=[n1,n2,n3]", "protocol.quorums={kind: flexible, phase1: 4}")


def test_a_duration_that_is_none_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="client_retry=0 leaves no time"):
        written(PaxosConfig, client_retry="0")


def test_nodes_stand_in_the_same_order_everywhere() -> None:
    assert in_order(["n10", "n2", "n1"]) == in_order(["n1", "n10", "n2"]) == ("n1", "n2", "n10")
