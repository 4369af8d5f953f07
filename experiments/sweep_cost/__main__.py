"""Measures what a sweep costs: `python -m experiments.sweep_cost [--only GROUP] [--runs N] [--repeat N]`.

Exit 0 if every bar holds, 2 if one is missed or a run was not valid.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.sweep_cost.__main__")

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.studies import show
from experiments.sweep_cost.planning import million, second_launch_s
from experiments.sweep_cost.yardsticks import loop_s, processes_s, sweep_s, take, tune_s
from framework.console.command import Parser, count, one_of
from framework.console.entry import carried_out
from framework.sweep.launch import processors

CHAOS = ("experiment=raft_chaos",)
SHORT = ("experiment=raft_5nodes", "engine=sim", "duration=1ms")
FEW = 100


@dataclass(frozen=True)
class Figure:
    """A line of the table; `most` is the bar, None without one."""

    name: str
    value: float
    unit: str
    most: float | None = None

    @property
    def holds(self) -> bool:
        return self.most is None or self.value <= self.most


def overhead(runs: int, repeat: int) -> Iterator[Figure]:
    """A sweep over the same runs in a plain loop, which is timed before and after it."""
    workers = processors()
    ratios, seconds = [], []
    for _ in range(repeat):
        before = loop_s(CHAOS, runs)
        with tempfile.TemporaryDirectory(prefix="sweep-cost-") as folder:
            took = sweep_s((*CHAOS, f"seed=range(0,{runs})", f"sweep.workers={workers}"), Path(folder) / "s")
        after = loop_s(CHAOS, runs)
        seconds.append(took)
        ratios.append(took * workers / statistics.mean((before, after)))
    yield Figure(f"sweep of {runs:,} runs, {workers} workers, wall", statistics.median(seconds), "s")
    yield Figure("  over the same runs in a loop / workers", statistics.median(ratios), "×", 1.15)


def rivals(runs: int, repeat: int) -> Iterator[Figure]:
    """A hundred runs by other means, start-up included, over the same runs in a plain loop / workers."""
    workers = processors()
    ideal = loop_s(CHAOS, FEW) / workers
    with tempfile.TemporaryDirectory(prefix="sweep-cost-") as folder:
        own = sweep_s((*CHAOS, f"seed=range(0,{FEW})", f"sweep.workers={workers}"), Path(folder) / "s")
    yield Figure(f"{FEW} runs: a sweep", own / ideal, "×")
    yield Figure(f"{FEW} runs: one process a run", processes_s(CHAOS, FEW, workers) / ideal, "×")
    yield Figure(f"{FEW} runs: Ray Tune", tune_s(CHAOS, FEW, workers) / ideal, "×")


def warm(runs: int, repeat: int) -> Iterator[Figure]:
    """A seed of one virtual millisecond in a worker that has taken others."""
    take(SHORT, 0)
    costs = []
    for seed in range(FEW):
        began = time.perf_counter()
        take(SHORT, seed)
        costs.append((time.perf_counter() - began) * 1e3)
    yield Figure("a warm seed of one virtual millisecond", statistics.median(costs), "ms", 10)


def planning(runs: int, repeat: int) -> Iterator[Figure]:
    """A million points, and a sweep that is finished."""
    seconds, size = million()
    yield Figure("a million points planned and handed out", seconds, "s")
    yield Figure("  the driver's size", size, "MiB", 300)
    first, second = second_launch_s()
    yield Figure("10,000 runs of one virtual millisecond", first, "s")
    yield Figure("  the same command once more", second, "s", 10)


GROUPS: dict[str, Callable[[int, int], Iterator[Figure]]] = {
    "overhead": overhead, "rivals": rivals, "warm": warm, "planning": planning,
}  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _measure(_options(arguments)))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser("experiments.sweep_cost", __doc__.split("\n\n")[0])
    parser.add_argument("--only", type=one_of(GROUPS), help="one group of rows")
    parser.add_argument("--runs", type=count, default=1_000, help="runs of the sweep that is timed (default 1,000)")
    parser.add_argument("--repeat", type=count, default=1, help="how often it is timed (default 1)")
    return parser.read(arguments)


def _measure(options: argparse.Namespace) -> int:
    wanted = [options.only] if options.only else list(GROUPS)
    figures = [figure for name in wanted for figure in GROUPS[name](options.runs, options.repeat)]
    rows = [
        [
            one.name,
            f"{one.value:,.2f} {one.unit}",
            "" if one.most is None else f"≤ {one.most:g} {one.unit}",
            "" if one.most is None else "held" if one.holds else "missed",
        ]
        for one in figures
    ]
    show("What a sweep costs beyond its runs (medians)", ["what", "measured", "bar", ""], rows)
    return 0 if all(one.holds for one in figures) else 2
