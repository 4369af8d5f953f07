"""What is measured, and how a figure is read from a run's result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RAFT = "experiment=raft_5nodes"
MULTIPAXOS = ("protocol=multipaxos",)
SIM = (RAFT, "engine=sim", "duration=20s", "engine.check_invariants_every=0")
MOUNTS = (
    "protocol=idle_mounts",
    f"plugins.path={Path(__file__).with_name('idle_mounts.py')}",
    "engine=sim",
    "workload=echo",
    "nodes=1",
    "clients=10",
    "duration=10s",
)
RAY = (RAFT, "engine=ray", "workload.value_size=256", "workload.keys=10000")


@dataclass(frozen=True)
class Row:
    """One line of the table: a run, a figure of its result, and the bar that it is held against.

    `at_least` and `at_most` are the bars; without either the row is there to compare. `group` runs are taken in
    turns, so that what is compared is measured under the same conditions.
    """

    group: str
    name: str
    overrides: tuple[str, ...]
    unit: str
    figure: Callable[[dict[str, Any]], float]
    at_least: float | None = None
    at_most: float | None = None
    checked: bool = True

    def holds(self, value: float) -> bool | None:
        """Whether `value` keeps the bar; None without one."""
        if self.at_least is not None:
            return value >= self.at_least
        return None if self.at_most is None else value <= self.at_most

    @property
    def bar(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:,.0f}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"


def steps_per_second(result: dict[str, Any]) -> float:
    return float(result["steps"] / result["wall_s"])


def operations_per_second(result: dict[str, Any]) -> float:
    return float(result["throughput_ops_s"])


def p50_ms(result: dict[str, Any]) -> float:
    return float(result["latency_ms"]["p50"])


def p99_ms(result: dict[str, Any]) -> float:
    return float(result["latency_ms"]["p99"])


def process_s(result: dict[str, Any]) -> float:
    return float(result["process_s"])


def overhead_s(result: dict[str, Any]) -> float:
    return float(result["process_s"] - result["virtual_s"])


def rows(duration: str) -> list[Row]:
    """All rows; `duration` is how long each run on Ray lasts."""
    ray = (*RAY, f"duration={duration}", "warmup=2s")
    crowd = (*ray, "clients=500")
    paxos = (*crowd, *MULTIPAXOS, "trace=history")
    return [
        Row("simulator", "sim, full trace", (*SIM, "trace=full"), "steps/s", steps_per_second, at_least=140_000),
        Row("simulator", "sim, history only", (*SIM, "trace=history"), "steps/s", steps_per_second, at_least=180_000),
        Row(
            "simulator", "sim, full trace, invariants at every step",
            (*SIM[:-1], "trace=full"), "steps/s", steps_per_second,
        ),
        Row("simulator", "sim, no trace", (*SIM, "trace=none"), "steps/s", steps_per_second, checked=False),
        Row(
            "simulator", "sim, history only, Multi-Paxos",
            (*SIM, *MULTIPAXOS, "trace=history"), "steps/s", steps_per_second,
        ),
        *(
            Row(
                "mounts", f"sim, a node with {mounts} mounts", (*MOUNTS, f"protocol.mounts={mounts}"),
                "steps/s", steps_per_second, checked=False,
            )
            for mounts in (1, 16, 64, 256)
        ),
        Row("process", "sim, 10 virtual s, whole process", (RAFT, "engine=sim"), "s", process_s, at_most=6),
        Row("crowd", "ray, 500 clients, history", (*crowd, "trace=history"), "operations/s", operations_per_second, at_least=25_000),
        Row("crowd", "  its p99", (*crowd, "trace=history"), "ms", p99_ms, at_most=60),
        Row("crowd", "ray, 500 clients, full trace", (*crowd, "trace=full"), "operations/s", operations_per_second, at_least=18_000),
        Row("crowd", "ray, 500 clients, no trace", (*crowd, "trace=none"), "operations/s", operations_per_second, checked=False),
        Row("crowd", "ray, 500 clients, history, Multi-Paxos", paxos, "operations/s", operations_per_second, at_least=25_000),
        Row("crowd", "  its p99", paxos, "ms", p99_ms, at_most=60),
        Row(
            "crowd", "ray, 500 clients, actor calls", (*crowd, "trace=history", "engine.transport=actor_calls"),
            "operations/s", operations_per_second,
        ),
        Row("one", "ray, one client", (*ray, "clients=1", "trace=history"), "ms p50", p50_ms, at_most=2),
        Row(
            "one", "ray, one client, Multi-Paxos", (*ray, "clients=1", *MULTIPAXOS, "trace=history"),
            "ms p50", p50_ms, at_most=2,
        ),
        Row(
            "one", "ray, one client, actor calls", (*ray, "clients=1", "trace=history", "engine.transport=actor_calls"),
            "ms p50", p50_ms,
        ),
        Row("one", "ray, start-up, checks and teardown", (*ray, "clients=1", "trace=history"), "s", overhead_s, at_most=10),
    ]  # fmt: skip
