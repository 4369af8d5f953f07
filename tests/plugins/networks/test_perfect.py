"""The perfect network."""

from __future__ import annotations

import random

import msgspec
import pytest

from plugins.networks.perfect import PerfectConfig, register_network_models
from tests.written import written

[SPEC] = register_network_models()


def test_every_message_arrives_half_a_millisecond_later() -> None:
    network = SPEC.model(PerfectConfig(), ("n1", "n2"), ("c1",))
    link = network.link("n1", "n2", random.Random(1))
    assert link.constant == 500_000
    assert link.transmit(1_000, 10**9) == (501_000,)
    assert not network.needs_size


def test_an_engine_with_a_real_network_need_not_imitate_it() -> None:
    assert SPEC.model.simulated_only


def test_a_link_without_delay_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="a link without delay would stop simulated time"):
        written(PerfectConfig, latency="0")
