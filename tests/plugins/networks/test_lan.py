"""The local networks, healthy and lossy."""

from __future__ import annotations

import random
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import pytest

from framework import NetworkModel
from framework.core.random_streams import stream
from plugins.networks.lan import register_network_models
from tests.written import written

SPECS = {spec.name: spec for spec in register_network_models()}
MS = 1_000_000


def network(name: str, **fields: Any) -> NetworkModel:
    spec = SPECS[name]
    assert spec.config is not None
    return spec.model(written(spec.config, **fields), ("n1", "n2"), ("c1",))


def arrivals(model: NetworkModel, count: int = 5_000) -> list[tuple[int, ...]]:
    link = model.link("n1", "n2", stream(1, "link", "n1->n2"))
    return [tuple(at - n * MS for at in link.transmit(n * MS, 0)) for n in range(count)]


def test_a_lan_takes_a_quarter_of_a_millisecond_and_loses_nothing() -> None:
    delays = sorted(at for (at,) in arrivals(network("lan")))
    assert delays[2_500] == pytest.approx(250_000, rel=0.03)
    assert delays[4_950] == pytest.approx(502_000, rel=0.05)
    assert not SPECS["lan"].model.simulated_only


def test_any_law_may_take_the_place_of_the_delay() -> None:
    assert (
        network("lan", latency={"kind": "constant", "delay": "2ms"}).link("n1", "n2", random.Random(1)).constant
        == 2 * MS
    )
    [(only,)] = arrivals(network("lan", latency={"kind": "uniform", "low": "3ms", "high": "4ms"}), 1)
    assert 3 * MS <= only <= 4 * MS


def test_a_lossy_network_drops_repeats_and_reorders() -> None:
    seen = arrivals(network("lossy"))
    assert sum(not copies for copies in seen) == pytest.approx(100, abs=30)
    assert sum(len(copies) == 2 for copies in seen) == pytest.approx(50, abs=20)
    firsts = [n * MS + copies[0] for n, copies in enumerate(seen) if copies]
    assert any(later < earlier for earlier, later in pairwise(firsts))


def test_sizes_are_asked_for_only_where_bandwidth_is_limited() -> None:
    assert not network("lan").needs_size
    assert network("lan", bandwidth="100mbit").needs_size


@pytest.mark.parametrize(("name", "pinned"), [("lan", "9a6815c5d258d4fd"), ("lossy", "e5386f5cea7f1234")])
def test_every_machine_sees_the_same_network(name: str, pinned: str) -> None:
    assert blake2b(repr(arrivals(network(name), 1_000)).encode(), digest_size=8).hexdigest() == pinned
