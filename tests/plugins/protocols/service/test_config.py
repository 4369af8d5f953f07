"""The service as a plugin: its spec and its config, and whole runs of it."""

from __future__ import annotations

import pytest

from framework import ConfigError
from framework.config.compose import compose
from framework.core.message import check_message
from framework.registry.registry import load
from plugins.protocols.service import register_protocols
from plugins.protocols.service.config import ServiceConfig
from tests.sweep.outcomes import outcomes

REGISTRY = load()
BASE = ("protocol=service", "workload=requests", "engine=sim", "nodes=5")


def test_the_spec() -> None:
    [spec] = register_protocols()
    assert (spec.name, spec.config, spec.operations) == ("service", ServiceConfig, ("serve",))
    assert spec.recovers and spec.settles
    for node in (*spec.role_classes, spec.client):
        for message in node._handlers:
            check_message(message)


def test_the_chosen_balancer_is_given_to_the_protocol_and_shown_in_its_own_group() -> None:
    composed = compose([*BASE, "balancer=power_of_d", "balancer.d=3", "protocol.dispatchers=2"], registry=REGISTRY)
    config = composed.experiment.protocol_config
    assert (config.balancer.name, config.balancer.config.d) == ("power_of_d", 3)
    assert composed.config["balancer"]["name"] == "power_of_d" and composed.config["balancer"]["d"] == 3
    assert "balancer" not in composed.config["protocol"]
    assert composed.experiment.roles == {"dispatcher": ("n1", "n2"), "server": ("n3", "n4", "n5")}


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("balancer=none", "protocol=service: needs a balancer, and none is chosen. There are: bounded_load,"),
        ("protocol.answer_timeout=0", "answer_timeout=0 leaves no time for an answer"),
        ("protocol.set_aside_time=0", "set_aside_time=0 leaves no time for an answer"),
        ("protocol.speeds=[1, 0]", "protocol.speeds.1: must be more than 0.0, not 0"),
        ("protocol.dispatchers=5", "protocol service needs at least 6: 5 as dispatcher"),
        ("protocol.service_time={kind: gamma}", "unknown value 'gamma'"),
        (
            "balancer=consistent_hash balancer.placement=maglev balancer.placement_config.table_size=3",
            "balancer=consistent_hash: table_size=3 is too small for 4 nodes. Change it, or the servers.",
        ),
    ],
)
def test_bad_settings_are_refused_in_one_line(setting: str, complaint: str) -> None:
    words = setting.split() if setting.startswith("balancer") else ["balancer=random", setting]
    with pytest.raises(ConfigError) as raised:
        compose([*BASE, *words], registry=REGISTRY)
    assert complaint in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "words",
    [
        ("balancer=power_of_d", "balancer.load=corrected"),
        ("balancer=join_idle_queue",),
        ("balancer=bounded_load", "protocol.report_interval=0"),
    ],
)
def test_chaos(words: tuple[str, ...]) -> None:
    (found,) = outcomes(["experiment=service_chaos", "trace=history", "duration=2s", *words], [5])
    assert found.verdict == "valid", found.reason
