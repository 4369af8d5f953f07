"""The failure detectors as plugins."""

from __future__ import annotations

import pytest

from framework import DETECTOR_INVARIANTS, Config, Detector, SuspectsClient
from framework.core.message import check_message
from framework.registry.registry import load
from plugins.protocols.heartbeat.node import HeartbeatConfig
from plugins.protocols.phi_accrual.node import PhiAccrualConfig
from plugins.protocols.swim.config import SwimConfig

CONFIGS = {"heartbeat": HeartbeatConfig, "phi_accrual": PhiAccrualConfig, "swim": SwimConfig}


@pytest.mark.parametrize(("name", "config"), CONFIGS.items())
def test_the_spec_of_a_detector(name: str, config: type[Config]) -> None:
    spec = load().registered.protocols[name]
    assert (spec.config, spec.client, spec.operations) == (config, SuspectsClient, ("suspects",))
    assert issubclass(spec.node, Detector) and spec.recovers and spec.settles
    assert set(DETECTOR_INVARIANTS) <= set(spec.invariants)
    for message in spec.node._handlers:
        check_message(message)
