"""Counts message delays and messages of every protocol: `python -m experiments.message_counts [--trials 3]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments.message_counts.analyze import report
from experiments.message_counts.count import count
from experiments.message_counts.lines import LINES, SIZES
from experiments.studies import options, run_trials
from framework.console.command import carried_out


def main(arguments: Sequence[str] | None = None) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str] | None) -> int:
    chosen = options("experiments.message_counts", "Message delays and messages of a decision.", 3, arguments)
    lines = [((name, nodes), chosen.trials) for name in LINES for nodes in SIZES]
    agrees = report(run_trials(count, lines, chosen.processes), chosen.dir)
    print(f"figure and rows: {chosen.dir}")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
