"""Round trips between sites, and what they make of a decision: arithmetic, in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plugins.networks.wan import round_trips

RoundTrips = Mapping[str, Mapping[str, float]]

SOSP_2013 = {
    ("CA", "VA"): 85, ("VA", "EU"): 90, ("CA", "EU"): 156, ("CA", "OR"): 21, ("OR", "JP"): 127, ("CA", "JP"): 118,
    ("JP", "EU"): 278,
}  # fmt: skip
"""Moraru, Andersen and Kaminsky, SOSP 2013, figure 4."""

NOT_GIVEN = {("VA", "OR"): 106, ("VA", "JP"): 203, ("EU", "OR"): 177}
"""Three pairs that the figure leaves out: by way of CA. No answer of a leader in CA depends on them."""

WITHIN = 0.2
"""Between a client and the node at its own site."""

SITES = ("CA", "VA", "EU", "OR", "JP")
REGIONS = dict(zip(SITES, ("us-west-1", "us-east-1", "eu-west-1", "us-west-2", "ap-northeast-1"), strict=True))


def sosp(sites: Sequence[str], missing: Mapping[tuple[str, str], float] = NOT_GIVEN) -> RoundTrips:
    """The figure's distances between these of its sites."""
    found = {site: {site: WITHIN} for site in sites}
    for (one, other), trip in {**SOSP_2013, **missing}.items():
        if one in found and other in found:
            found[one][other] = found[other][one] = float(trip)
    return found


def aws() -> RoundTrips:
    """The same five sites in 2020: the mean of what the two ends of each pair measured."""
    table = round_trips("aws_2020_06_05.csv")
    return {
        one: {other: float(table[here][there] + table[there][here]) / 2 for other, there in REGIONS.items()}
        for one, here in REGIONS.items()
    }


def by_leader(trips: RoundTrips, leader: str, client: str) -> float:
    """A round trip to the leader, and one of the leader's to the nearest majority, of which it is one itself."""
    others = sorted(trip for site, trip in trips[leader].items() if site != leader)
    return trips[client][leader] + others[len(trips) // 2 - 1]


def by_quorum(trips: RoundTrips, client: str, rounds: int) -> float:
    """So many round trips of the client's own to the nearest majority."""
    return rounds * sorted(trips[client].values())[len(trips) // 2]
