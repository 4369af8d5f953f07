"""The protocol `service` at the same loads: real messages, 20 servers, one dispatcher."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from experiments.simulated import simulated

SERVERS = 20
SERVICE_MS = 10

QUIET = (
    "protocol=service", "workload=requests", "trace=history", f"nodes={SERVERS + 1}", "network.latency=100us",
    f"protocol.service_time={{kind: exponential, mean: {SERVICE_MS}ms}}", "protocol.answer_timeout=100s",
    "protocol.client_retry=0", "workload.timeout=100s", "workload.keys=1000", "clients=400", "warmup=2s", "duration=10s",
    "settle=60s",
)  # fmt: skip


class Served(NamedTuple):
    """One run: mean and 99th percentile of the time at the server, waiting and service, in mean service times."""

    load: float
    words: tuple[str, ...]
    mean_time: float
    p99: float


def serve(line: tuple[float, tuple[str, ...]], seeds: Iterable[int]) -> list[Served]:
    """One run for each seed; `line` is (load, settings)."""
    return [run(*line, seed) for seed in seeds]


def run(load: float, words: tuple[str, ...], seed: int) -> Served:
    """One run, which is valid."""
    rate = load * SERVERS * 1_000 / SERVICE_MS
    with simulated((*QUIET, f"workload.rate={rate:g}", *words), seed) as simulated_run:
        rows = simulated_run.run.history.to_pylist()
        waits = sorted(
            json.loads(row["result"])[1] / 1e6
            for row in rows
            if row["outcome"] == "ok" and row["scheduled"] >= simulated_run.warmup
        )
    mean = sum(waits) / len(waits) / SERVICE_MS + 1
    return Served(load, words, mean, waits[int(0.99 * len(waits))] / SERVICE_MS)
