"""The wide-area networks: delays between regions are half the measured round trips."""

from __future__ import annotations

import random
from typing import Any

import pytest

from framework import ConfigError, NetworkModel
from framework.core.random_streams import stream
from plugins.networks.wan import register_network_models, round_trips
from tests.written import written

SPECS = {spec.name: spec for spec in register_network_models()}
NODES = ("n1", "n2", "n3")
CLIENTS = ("c1", "c2", "c3", "c4")


def network(name: str = "wan_aws", **fields: Any) -> NetworkModel:
    spec = SPECS[name]
    assert spec.config is not None
    return spec.model(written(spec.config, **fields), NODES, CLIENTS)


def constant(model: NetworkModel, source: str, target: str) -> int:
    return model.link(source, target, random.Random(1)).constant


def test_nodes_and_clients_are_dealt_out_to_the_regions_in_turn() -> None:
    model = network(regions=["eu-west-1", "sa-east-1", "ca-central-1"])
    assert model.describe() == {
        "n1": "eu-west-1", "n2": "sa-east-1", "n3": "ca-central-1",
        "c1": "eu-west-1", "c2": "sa-east-1", "c3": "ca-central-1", "c4": "eu-west-1",
    }  # fmt: skip


def test_one_way_is_half_of_the_round_trip_that_the_sender_s_region_measured() -> None:
    model = network(regions=["us-east-1", "eu-west-1"], jitter=0)
    assert constant(model, "n1", "n2") == 35_254_000  # 70.508 ms there and back
    assert constant(model, "n2", "n1") == 35_250_500  # 70.501 ms
    assert constant(model, "n1", "n3") == 132_000  # 0.264 ms within us-east-1
    assert constant(model, "c2", "n1") == 35_250_500


def test_google_s_table_is_another() -> None:
    model = network("wan_gcp", regions=["us-east1", "europe-west1"], jitter=0)
    assert constant(model, "n1", "n2") == 46_521_500


def test_delays_vary_a_little_around_the_measured_one() -> None:
    link = network(regions=["us-east-1", "eu-west-1"]).link("n1", "n2", stream(1, "link", "n1->n2"))
    assert link.constant == -1
    delays = sorted(link.transmit(n * 10**9, 0)[0] - n * 10**9 for n in range(2_000))
    assert delays[1_000] == pytest.approx(35_254_000, rel=0.002)
    assert delays[20] > 0.95 * 35_254_000
    assert delays[-20] < 1.06 * 35_254_000
    assert delays[:2] == [32_854_752, 33_264_439]  # on every machine


@pytest.mark.parametrize("name", ["wan_aws", "wan_gcp"])
def test_the_default_regions_and_the_whole_table_are_sound(name: str) -> None:
    assert len(set(network(name).describe().values())) == 4  # of seven nodes and clients
    table = round_trips({"wan_aws": "aws_2020_06_05.csv", "wan_gcp": "gcp.csv"}[name])
    for region, row in table.items():
        assert row.keys() == table.keys()
        assert all(0 < row[region] <= trip < 500 for trip in row.values())


def test_loss_and_bandwidth_may_be_added_to_distance() -> None:
    model = network(loss=1, bandwidth="1gbit", jitter=0)
    assert model.needs_size
    assert model.link("n1", "n2", random.Random(1)).transmit(0, 100) == ()


@pytest.mark.parametrize(
    ("regions", "complaint"),
    [
        (
            ["us-east-1", "eu-west-9"],
            "network=wan_aws: unknown region 'eu-west-9' in `regions`. Did you mean 'eu-west-3'?",
        ),
        (["moon"], "network=wan_aws: unknown region 'moon' in `regions`. There are: af-south-1, ap-east-1,"),
        ([], "network=wan_aws: `regions` is empty. There are: af-south-1,"),
    ],
)
def test_a_region_that_is_not_in_the_table_is_refused(regions: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError) as error:
        network(regions=regions)
    assert str(error.value).startswith(complaint)


# Sites of one's own.

DISTANCES = {"CA": {"VA": "85ms", "EU": "156ms"}, "VA": {"EU": "90ms"}}


def test_sites_are_as_far_apart_as_the_config_says_either_way() -> None:
    model = network("wan", round_trips=DISTANCES, jitter=0)
    assert list(model.describe().items())[:3] == [("n1", "CA"), ("n2", "VA"), ("n3", "EU")]
    assert constant(model, "n1", "n2") == constant(model, "n2", "c1") == 42_500_000
    assert constant(model, "n3", "n1") == 78_000_000
    assert constant(model, "n2", "c2") == 100_000  # at the same site: half of 200 us


def test_nodes_may_stand_at_some_of_the_sites_in_another_order() -> None:
    model = network("wan", round_trips=DISTANCES, regions=["EU", "CA"], within="2ms", jitter=0)
    assert constant(model, "n1", "n2") == 78_000_000
    assert constant(model, "n1", "n3") == 1_000_000


@pytest.mark.parametrize(
    ("trips", "complaint"),
    [
        ({"CA": {"VA": "85ms"}, "VA": {"EU": "90ms"}}, "CA to EU is missing: give each pair of sites once"),
        ({"CA": {"VA": "85ms"}, "VA": {"CA": "90ms"}}, "CA to VA is there twice: give each pair of sites once"),
        ({"CA": {"CA": "1ms"}}, "CA to itself: `within` says how far that is"),
        ({"CA": {"VA": 0}}, "CA to VA takes no time: give more than 0"),
    ],
)
def test_distances_that_cannot_be_are_refused(trips: dict[str, dict[str, Any]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        network("wan", round_trips=trips)


def test_sites_need_distances_and_regions_need_to_be_sites() -> None:
    with pytest.raises(ConfigError, match="`round_trips` is empty"):
        network("wan")
    with pytest.raises(ConfigError, match="unknown region 'EV' in `regions`"):
        network("wan", round_trips=DISTANCES, regions=["CA", "EV"])
    with pytest.raises(ValueError, match="`within` must be positive"):
        network("wan", round_trips=DISTANCES, within=0)
