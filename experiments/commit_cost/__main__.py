"""Counts messages, forced writes and delays of atomic commitment: `python -m experiments.commit_cost [--trials 1]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.commit_cost.__main__")

from collections.abc import Sequence

from experiments.commit_cost.analyze import report
from experiments.commit_cost.count import count
from experiments.commit_cost.lines import LINES
from experiments.studies import options, run_trials
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.commit_cost", "Messages, forced writes and delays of a commit.", 1, arguments)
    lines = [((line.name, *case), chosen.trials) for line in LINES.values() for case in line.cases()]
    agrees = report(run_trials(count, lines, chosen.processes), chosen.dir)
    print(f"figure and rows: {chosen.dir}")
    return 0 if agrees else 2
