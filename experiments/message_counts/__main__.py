"""Counts message delays and messages of every protocol: `python -m experiments.message_counts [--trials 3]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.message_counts.__main__")

from collections.abc import Sequence

from experiments.message_counts.analyze import report
from experiments.message_counts.count import count
from experiments.message_counts.lines import LINES, SIZES
from experiments.studies import options, run_trials
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.message_counts", "Message delays and messages of a decision.", 3, arguments)
    lines = [((name, nodes), chosen.trials) for name in LINES for nodes in SIZES]
    agrees = report(run_trials(count, lines, chosen.processes), chosen.dir)
    print(f"figure and rows: {chosen.dir}")
    return 0 if agrees else 2
