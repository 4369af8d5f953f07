"""Measures how evenly placements share ids, and their cost: `python -m experiments.placement_balance [--trials 3]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.placement_balance.__main__")

from collections.abc import Sequence

from experiments.placement_balance.analyze import report
from experiments.placement_balance.measure import Measured, measured, speeds
from experiments.placement_balance.strategies import STRATEGIES
from experiments.studies import options, run_trials
from framework.console.entry import carried_out

SIZES = (10, 100, 1_000)


def trial(line: tuple[str, int], seeds: range) -> list[Measured]:
    return [measured(*line, seed) for seed in seeds]


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.placement_balance", "How evenly do placements share ids?", 3, arguments)
    lines = [((name, nodes), chosen.trials) for nodes in SIZES for name in STRATEGIES]
    found = run_trials(trial, lines, chosen.processes)
    agrees = report(found, speeds(5), chosen.dir)
    print(f"figure and rows: {chosen.dir}")
    return 0 if agrees else 2
