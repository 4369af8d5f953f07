"""The lines of the study, and how one trial of each is held.

Nobody appoints a leader: elections are left to chance, and a line takes the seeds under which the node at its site
wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from typing import NamedTuple

import numpy as np

from experiments.simulated import simulated
from experiments.wan_latency.distances import SITES, RoundTrips, aws, by_leader, by_quorum, sosp

FIGURE_4 = "SOSP 2013"
AWS = "AWS 2020"

PATIENT = (
    "protocol.election_timeout_min=1s", "protocol.election_timeout_max=2s", "protocol.heartbeat_interval=200ms",
    "protocol.session.retry=2s", "protocol.session.backoff=100ms",
)  # fmt: skip
"""Time-outs for round trips of up to 280 ms."""

ALWAYS = ("trace=history", "workload.keys=1000", "engine.check_invariants_every=0")
PROBE = ("duration=4s",)
"""By then there is a leader, and who leads then does so to the end of a longer run with the same seed."""


@dataclass(frozen=True)
class Line:
    """One protocol on one network, whose distances are `trips`; clients' `functions` are told apart."""

    study: str
    name: str
    sites: tuple[str, ...]
    settings: tuple[str, ...]
    trips: RoundTrips
    leader: str = ""
    functions: tuple[str, ...] = ("read", "write")
    clients_each: int = 2
    read_rounds: int = 2  # without a leader; a write takes two
    duration: str = "110s"

    def computed(self, site: str, function: str) -> float:
        """What a client at this site should wait for."""
        if self.leader:
            return by_leader(self.trips, self.leader, site)
        return by_quorum(self.trips, site, self.read_rounds if function == "read" else 2)


class Waited(NamedTuple):
    """What clients at one site waited for, in milliseconds."""

    study: str
    line: str
    leader: str
    site: str
    function: str
    seed: int
    operations: int
    p50: float
    p99: float
    least: float
    most: float
    computed: float


def hold(name: tuple[str, str, str], trials: Iterable[int]) -> list[Waited]:
    """So many runs of the line, each with the next seed that fits it."""
    line = LINES[name]
    return [waited for trial in trials for waited in measured(line, seed_of(line, trial))]


def measured(line: Line, seed: int) -> Iterator[Waited]:
    """What clients at each site waited for in one run."""
    with simulated((*line.settings, f"duration={line.duration}", "warmup=10s"), seed) as run:
        assert not line.leader or _leader(run.leader, line.sites) == line.leader, f"{run.leader} took over"
        for number, site in enumerate(line.sites):
            clients = [f"c{number + 1 + turn * len(line.sites)}" for turn in range(line.clients_each)]
            for function in line.functions:
                times = np.sort([time for client in clients for time in run.latencies_ms(client, function)])
                p50, p99 = np.quantile(times, (0.5, 0.99), method="higher")
                yield Waited(
                    line.study, line.name, line.leader, site, function, seed, len(times),
                    *(round(float(time), 6) for time in (p50, p99, times[0], times[-1], line.computed(site, function))),
                )  # fmt: skip


def seed_of(line: Line, trial: int) -> int:
    """The seed of trial number `trial`: under which the line's leader is elected."""
    if not line.leader:
        return trial
    fitting = (seed for seed in count() if _elected(line.settings, line.sites, seed) == line.leader)
    return next(islice(fitting, trial, None))


@lru_cache(maxsize=1024)
def _elected(settings: Sequence[str], sites: tuple[str, ...], seed: int) -> str:
    with simulated((*settings, *PROBE), seed) as run:
        return _leader(run.leader, sites)


def _leader(node: str | None, sites: tuple[str, ...]) -> str:
    return "" if node is None else sites[int(node[1:]) - 1]


def _settings(protocol: str, sites: Sequence[str], network: Sequence[str], clients_each: int) -> tuple[str, ...]:
    size = len(sites)
    return (f"protocol={protocol}", f"nodes={size}", f"clients={size * clients_each}", *network, *ALWAYS)


def figure_4_line(sites: tuple[str, ...], trips: RoundTrips) -> Line:
    """Multi-Paxos with its leader in CA, writes alone, constant delays."""
    pairs = [
        f"{one}: {{{', '.join(f'{other}: {trips[one][other]:g}ms' for other in sites[number + 1 :])}}}"
        for number, one in enumerate(sites[:-1])
    ]
    network = ("network=wan", f"network.round_trips={{{', '.join(pairs)}}}", "network.jitter=0")
    return Line(
        FIGURE_4, f"{len(sites)} sites", sites,
        (*_settings("multipaxos", sites, network, 1), *PATIENT, "workload.mix={read: 0, write: 1}"),
        trips, leader="CA", functions=("write",), clients_each=1, duration="30s",
    )  # fmt: skip


def aws_lines() -> Iterator[Line]:
    """Every position of the leader, and ABD, which has none."""
    trips, network = aws(), ("network=wan_aws",)
    for protocol, leader in ((protocol, leader) for protocol in ("multipaxos", "raft") for leader in SITES):
        yield Line(AWS, protocol, SITES, (*_settings(protocol, SITES, network, 2), *PATIENT), trips, leader)
    for write_back in ("always", "when_needed"):
        yield Line(
            AWS, f"abd, write-back {write_back.replace('_', ' ')}", SITES,
            (*_settings("abd", SITES, network, 2), f"protocol.write_back={write_back}", "protocol.retry=2s"),
            trips, read_rounds=1 if write_back == "when_needed" else 2,
        )  # fmt: skip


def _lines() -> Iterator[Line]:
    for size in (3, 5):
        yield figure_4_line(SITES[:size], sosp(SITES[:size]))
    yield from aws_lines()


LINES = {(line.study, line.name, line.leader): line for line in _lines()}
"""By study, name and leader."""
