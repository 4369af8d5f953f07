"""Multi-Paxos as a plugin: its spec, its config and its messages."""

from __future__ import annotations

import pytest

from framework import ConfigError, Duration, ReadingConfig, lease_length
from framework.core.message import check_message
from plugins.protocols.multipaxos import register_protocols
from plugins.protocols.multipaxos.config import MultiPaxosConfig
from plugins.protocols.raft.config import RaftConfig
from tests.composing import composed

BASE = ("experiment=raft_5nodes", "protocol=multipaxos", "engine=sim")


def test_the_spec() -> None:
    [spec] = register_protocols()
    assert (spec.name, spec.config, spec.checkers) == ("multipaxos", MultiPaxosConfig, ("linearizability",))
    assert issubclass(MultiPaxosConfig, ReadingConfig)
    assert spec.recovers and spec.converges and spec.administration == ("transfer_leader",)
    for message in spec.node._handlers:
        check_message(message)


def test_it_takes_the_place_of_raft_in_an_experiment() -> None:
    experiment = composed(*BASE).experiment
    assert (experiment.protocol.name, len(experiment.nodes)) == ("multipaxos", 5)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("election_timeout_min=400ms", "election_timeout_min=400ms and election_timeout_max=300ms"),
        ("heartbeat_interval=150ms", "heartbeat_interval=150ms must be above 0 and below"),
        ("window=0", "window=0: must be at least 1"),
        ("checkpoint_part=0", "must be at least 1, not 0"),
        ("max_clock_drift_ppm=1000000", "must be at most 999999"),
        ("read_mode=leases", "Did you mean 'lease'?"),
        ("quorums={kind: flexible, phase1: 2, phase2: 2}", "which share no node"),
        ("quorums={kind: flexible, phase2: 9}", "phase2=9 of 5 nodes can never be a quorum"),
        ("thrify=true", "Did you mean 'thrifty'?"),
    ],
)
def test_what_cannot_work_is_refused_before_the_run(setting: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        composed(*BASE, f"protocol.{setting}")
    assert complaint in str(refused.value)


def test_the_lease_is_shorter_than_what_acceptors_grant_by_what_clocks_may_drift() -> None:
    """The leader's clock as slow and an acceptor's as fast as may be: the lease ends first, by true time."""
    config = MultiPaxosConfig(election_timeout_min=Duration("100ms"), max_clock_drift_ppm=200_000)
    assert lease_length(config.election_timeout_min, 200_000) / 0.8 <= config.election_timeout_min / 1.2
    assert lease_length(MultiPaxosConfig().election_timeout_min, 0) == Duration("150ms")


def test_what_clocks_are_trusted_with_is_one_setting_with_one_default_in_all_protocols_with_leases() -> None:
    assert RaftConfig().max_clock_drift_ppm == MultiPaxosConfig().max_clock_drift_ppm == 1_000
