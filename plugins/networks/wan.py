"""Wide-area networks: nodes and clients are in regions, or at sites, with known round-trip times between them."""

from __future__ import annotations

import csv
import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta

from framework import (
    MILLISECOND,
    ConfigError,
    Distribution,
    Duration,
    Link,
    LinkConfig,
    Lognormal,
    NetworkModel,
    NetworkSpec,
    NodeId,
    did_you_mean,
    hookimpl,
    make_link,
)

DATA = Path(__file__).parent / "data"


RoundTrips: TypeAlias = Mapping[str, Mapping[str, Fraction]]
"""The round-trip time in milliseconds from one region to another."""


class WanConfig(LinkConfig, kw_only=True):
    """The placement of nodes, and the jitter of the links."""

    regions: tuple[str, ...]
    """Regions assigned to nodes, and likewise to clients, in turn: the first to n1 and c1, the second to n2 and c2."""
    jitter: Annotated[float, Meta(ge=0, le=2)] = 0.02
    """Sigma of the lognormal distribution around each measured delay; 0 makes delays constant."""


class AwsConfig(WanConfig):
    """Regions of AWS; by default the five sites of the EPaxos study (Moraru et al., SOSP 2013)."""

    regions: tuple[str, ...] = ("us-west-1", "us-east-1", "eu-west-1", "us-west-2", "ap-northeast-1")


class GcpConfig(WanConfig):
    """Regions of Google Cloud; by default five sites on four continents."""

    regions: tuple[str, ...] = ("us-east1", "europe-west1", "us-west1", "asia-northeast1", "southamerica-east1")


class SitesConfig(WanConfig):
    """User-defined sites, and the round-trip times between them."""

    regions: tuple[str, ...] = ()
    """Sites assigned to nodes, and likewise to clients, in turn; by default all, in the order of `round_trips`."""
    round_trips: dict[str, dict[str, Duration]] = {}
    """Round-trip time of each pair of sites, given once: `{CA: {VA: 85ms, EU: 156ms}, VA: {EU: 90ms}}`. Both directions
    take the same time."""
    within: Duration = Duration("200us")
    """Round-trip time within a site."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = sites(self)
        trips = {(one, other): trip for one, row in self.round_trips.items() for other, trip in row.items()}
        for one, other in combinations(names, 2):
            if ((one, other) in trips) == ((other, one) in trips):
                found = "is there twice" if (one, other) in trips else "is missing"
                raise ValueError(f"`round_trips`: {one} to {other} {found}: give each pair of sites once")
        for (one, other), trip in trips.items():
            if one == other:
                raise ValueError(f"`round_trips`: {one} to itself: `within` says how far that is")
            if trip <= 0:
                raise ValueError(f"`round_trips`: {one} to {other} takes no time: give more than 0")
        if self.within <= 0:
            raise ValueError("`within` must be positive: a link without delay would stop simulated time")


def sites(config: SitesConfig) -> tuple[str, ...]:
    """Returns all sites that the config names, in order of their first appearance."""
    return tuple(dict.fromkeys(chain.from_iterable((one, *row) for one, row in config.round_trips.items())))


class Wan(NetworkModel):
    """A network whose links have half the round-trip time between their regions as median delay."""

    name: ClassVar[str]

    def __init__(self, config: WanConfig, nodes: Sequence[NodeId], clients: Sequence[NodeId]) -> None:
        super().__init__(config, nodes, clients)
        self.needs_size = config.bandwidth is not None
        self._round_trips = self.distances()
        regions = self.chosen()
        if not regions:
            raise ConfigError(f"network={self.name}", "`regions` is empty", did_you_mean("", self._round_trips))
        for region in regions:
            if region not in self._round_trips:
                fix = did_you_mean(region, self._round_trips)
                raise ConfigError(f"network={self.name}", f"unknown region {region!r} in `regions`", fix)
        self._regions = {
            node: regions[index % len(regions)]
            for group in (self.nodes, self.clients)
            for index, node in enumerate(group)
        }
        self._shape = Lognormal(median=Duration(MILLISECOND), sigma=config.jitter)
        self._delays: dict[tuple[str, str], Distribution] = {}

    @abstractmethod
    def distances(self) -> RoundTrips:
        """Returns the round-trip times between all regions."""

    def chosen(self) -> tuple[str, ...]:
        """Returns the regions to assign to nodes and clients in turn."""
        regions: tuple[str, ...] = self.config.regions
        return regions

    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        way = self._regions[source], self._regions[target]
        delay = self._delays.get(way)
        if delay is None:
            delay = self._delays[way] = self._shape.scaled(self._round_trips[way[0]][way[1]] / 2)
        return make_link(self.config, delay, rng)

    def describe(self) -> Mapping[str, str]:
        return self._regions


class Cloud(Wan):
    """The regions of a cloud provider. Each row of its table holds the times measured from one region."""

    table: ClassVar[str]

    def distances(self) -> RoundTrips:
        return round_trips(self.table)


class Aws(Cloud):
    """Amazon Web Services, as measured on 5 June 2020."""

    name = "wan_aws"
    table = "aws_2020_06_05.csv"


class Gcp(Cloud):
    """Google Cloud."""

    name = "wan_gcp"
    table = "gcp.csv"


class Sites(Wan):
    """The sites of the config."""

    name = "wan"

    def distances(self) -> RoundTrips:
        config: SitesConfig = self.config
        if not config.round_trips:
            raise ConfigError(
                f"network={self.name}",
                "`round_trips` is empty",
                "Name your sites, as in {CA: {VA: 85ms, EU: 156ms}, VA: {EU: 90ms}}.",
            )
        found = {site: {site: Fraction(config.within, MILLISECOND)} for site in sites(config)}
        for one, row in config.round_trips.items():
            for other, trip in row.items():
                found[one][other] = found[other][one] = Fraction(trip, MILLISECOND)
        return found

    def chosen(self) -> tuple[str, ...]:
        return super().chosen() or sites(self.config)


@cache
def round_trips(table: str) -> RoundTrips:
    """Reads the round-trip times of the table `table`, as exact fractions of milliseconds."""
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
        NetworkSpec(
            name="wan", model=Sites, config=SitesConfig, summary="Sites of your own: you say how far they are apart."
        ),
        NetworkSpec(name="wan_gcp", model=Gcp, config=GcpConfig, summary="Regions of Google Cloud, as measured."),
    ]
