"""What is measured at each size of quorum, and how. Phase 2 takes `quorum` nodes, phase 1 as many as it must: N + 1 -
`quorum`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from experiments.flexible_quorums.arithmetic import MEDIAN_MS, SIGMA
from experiments.flexible_quorums.phases import elected_after, keeps_its_lead
from experiments.simulated import simulated
from framework.core.time import MILLISECOND

SIZES = tuple(range(3, 11))
LOADED = (5, 9)
BATCHED = 9
"""Sizes at which throughput is measured, one value a message, and with many."""

LATENCY, THROUGHPUT, PHASE_1, SURVIVED = "latency", "throughput", "phase 1", "failures survived"

SPREAD = f"network.latency={{kind: lognormal, median: {MEDIAN_MS}ms, sigma: {SIGMA}}}"
SERVICE_US = 100
ELECTIONS = 100
"""For each line and trial."""


class Line(NamedTuple):
    """One size of quorum. `thrifty`: Accept goes to no more than a quorum. `batched`: many values may share one
    Accept."""

    study: str
    nodes: int
    quorum: int
    thrifty: bool = False
    batched: bool = True


class Outcome(NamedTuple):
    """Milliseconds, operations a second, or how many nodes may be down in either phase; what a study does not ask is
    None.

    `behind_ms` is how long after the last operation every node had applied it.
    """

    study: str
    nodes: int
    quorum: int
    thrifty: bool
    batched: bool
    seed: int
    median_ms: float | None = None
    p99_ms: float | None = None
    per_second: float | None = None
    behind_ms: float | None = None
    phase_1_survives: int | None = None
    phase_2_survives: int | None = None


def quorums(line: Line) -> tuple[str, ...]:
    """The settings of `framework.run` for the line's quorums."""
    return (
        f"nodes={line.nodes}", "protocol.quorums.kind=flexible", f"protocol.quorums.phase2={line.quorum}",
        f"protocol.quorums.phase1={line.nodes + 1 - line.quorum}", f"protocol.thrifty={str(line.thrifty).lower()}",
    )  # fmt: skip


def hold(line: Line, seeds: Iterable[int]) -> list[Outcome]:
    """One trial of the line for each seed."""
    measure = {LATENCY: _latency, THROUGHPUT: _throughput, PHASE_1: _phase_1, SURVIVED: _survived}[line.study]
    return [measure(line, seed) for seed in seeds]


WRITES = ("protocol=multipaxos", "network=lan", "trace=history", "engine.check_invariants_every=0",
          "workload.mix={read: 0, write: 1}", "workload.keys=1000", "warmup=1s")  # fmt: skip


def _latency(line: Line, seed: int) -> Outcome:
    """One client that leaves time between its writes, so that none queues behind another."""
    alone = ("clients=1", "workload.think_time=20ms", "duration=31s", SPREAD)
    with simulated((*WRITES, *alone, *quorums(line)), seed) as run:
        median, p99 = np.quantile(run.latencies_ms(), (0.5, 0.99))
    return Outcome(*line, seed, median_ms=round(float(median), 6), p99_ms=round(float(p99), 6))


def _throughput(line: Line, seed: int) -> Outcome:
    """Fifty clients, and a processor at each node that takes its time for each step."""
    crowd = ("clients=50", "duration=2s", f"engine.service_time={SERVICE_US}us", "settle=200s")
    slots = 1024 if line.batched else 1
    with simulated((*WRITES, *crowd, f"protocol.max_accept_slots={slots}", *quorums(line)), seed) as run:
        settling = run.simulation.settling
        assert settling is not None and settling.settled is not None, "a valid run has replicas that are equal"
        behind_ms = settling.settled.took / MILLISECOND
        return Outcome(*line, seed, per_second=run.result.throughput_ops_s, behind_ms=behind_ms)


def _phase_1(line: Line, seed: int) -> Outcome:
    """So many first elections."""
    first = seed * ELECTIONS
    times = [elected_after((*quorums(line), "network=lan", SPREAD), seed) for seed in range(first, first + ELECTIONS)]
    median, p99 = np.quantile(times, (0.5, 0.99))
    return Outcome(*line, seed, median_ms=round(float(median), 6), p99_ms=round(float(p99), 6))


def _survived(line: Line, seed: int) -> Outcome:
    """How many nodes may be down for a leader to be elected, and for one that leads to go on."""
    settings, most = quorums(line), range(line.nodes)
    phase_1 = [down for down in most if elected_after(settings, seed, down) is not None]
    phase_2 = [down for down in most if keeps_its_lead(settings, seed, down)]
    assert phase_1 == list(range(len(phase_1))) and phase_2 == list(range(len(phase_2))), (
        "more failures, and it survives"
    )
    return Outcome(*line, seed, phase_1_survives=phase_1[-1], phase_2_survives=phase_2[-1])


def lines() -> Iterator[Line]:
    """All lines of all studies."""
    for nodes in SIZES:
        for quorum in range(1, nodes + 1):
            yield from (Line(LATENCY, nodes, quorum, thrifty) for thrifty in (False, True))
            yield Line(PHASE_1, nodes, quorum)
            yield Line(SURVIVED, nodes, quorum)
    for nodes in LOADED:
        for quorum in range(1, nodes + 1):
            yield from (Line(THROUGHPUT, nodes, quorum, thrifty, batched=False) for thrifty in (False, True))
    for quorum in range(1, BATCHED + 1):
        yield from (Line(THROUGHPUT, BATCHED, quorum, thrifty) for thrifty in (False, True))
