"""Networks that span the earth: nodes and clients stand in cloud regions with measured distances between them."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta

from framework import ConfigError, Duration, Link, NetworkModel, NetworkSpec, NodeId, hookimpl
from framework.core.distributions import Distribution, Lognormal
from framework.core.errors import did_you_mean
from framework.core.links import LinkConfig, make_link
from framework.core.time import MILLISECOND

DATA = Path(__file__).parent / "data"


class WanConfig(LinkConfig, kw_only=True):
    """Where nodes stand and how steady the lines are."""

    regions: tuple[str, ...]
    """Nodes, and clients likewise, are dealt out to these in turn: n1 and c1 to the first, n2 and c2 to the second."""
    jitter: Annotated[float, Meta(ge=0, le=2)] = 0.02
    """The sigma of the lognormal law around each measured delay; 0 makes delays constant."""


class AwsConfig(WanConfig):
    """The five sites of the EPaxos study (Moraru et al., SOSP 2013), unless told otherwise."""

    regions: tuple[str, ...] = ("us-west-1", "us-east-1", "eu-west-1", "us-west-2", "ap-northeast-1")


class GcpConfig(WanConfig):
    """Five sites on four continents, unless told otherwise."""

    regions: tuple[str, ...] = ("us-east1", "europe-west1", "us-west1", "asia-northeast1", "southamerica-east1")


class Wan(NetworkModel):
    """Half of the measured round trip between two regions is the median delay of the links between them."""

    name: ClassVar[str]
    table: ClassVar[str]

    def __init__(self, config: WanConfig, nodes: Sequence[NodeId], clients: Sequence[NodeId]) -> None:
        super().__init__(config, nodes, clients)
        self.needs_size = config.bandwidth is not None
        self._round_trips = round_trips(self.table)
        if not config.regions:
            raise ConfigError(f"network={self.name}", "`regions` is empty", did_you_mean("", self._round_trips))
        for region in config.regions:
            if region not in self._round_trips:
                fix = did_you_mean(region, self._round_trips)
                raise ConfigError(f"network={self.name}", f"unknown region {region!r} in `regions`", fix)
        self._regions = {
            node: config.regions[index % len(config.regions)]
            for group in (self.nodes, self.clients)
            for index, node in enumerate(group)
        }
        self._shape = Lognormal(median=Duration(MILLISECOND), sigma=config.jitter)
        self._delays: dict[tuple[str, str], Distribution] = {}

    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        way = self._regions[source], self._regions[target]
        delay = self._delays.get(way)
        if delay is None:
            delay = self._delays[way] = self._shape.scaled(self._round_trips[way[0]][way[1]] / 2)
        return make_link(self.config, delay, rng)

    def describe(self) -> Mapping[str, str]:
        return self._regions


class Aws(Wan):
    """Amazon Web Services, as measured on 5 June 2020."""

    name = "wan_aws"
    table = "aws_2020_06_05.csv"


class Gcp(Wan):
    """Google Cloud."""

    name = "wan_gcp"
    table = "gcp.csv"


@cache
def round_trips(table: str) -> Mapping[str, Mapping[str, Fraction]]:
    """Milliseconds from a region, there and back, to each region: exactly what the table `table` says."""
    with open(DATA / table, newline="", encoding="utf-8") as file:
        (_, *targets), *rows = csv.reader(file)
    return {
        source: {target: Fraction(cell) for target, cell in zip(targets, cells, strict=True)} for source, *cells in rows
    }


@hookimpl
def register_network_models() -> list[NetworkSpec]:
    return [
        NetworkSpec(
            name="wan_aws",
            model=Aws,
            config=AwsConfig,
            summary="Regions of Amazon Web Services, measured in June 2020.",
        ),
        NetworkSpec(name="wan_gcp", model=Gcp, config=GcpConfig, summary="Regions of Google Cloud, as measured."),
    ]
