"""Measures what smaller quorums save and cost: `python -m experiments.flexible_quorums [--trials 1]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments.flexible_quorums.analyze import report
from experiments.flexible_quorums.lines import hold, lines
from experiments.studies import options, run_trials
from framework.console.command import carried_out


def main(arguments: Sequence[str] | None = None) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str] | None) -> int:
    chosen = options("experiments.flexible_quorums", "What smaller quorums save and cost.", 1, arguments)
    report(run_trials(hold, [(line, chosen.trials) for line in lines()], chosen.processes), chosen.dir)
    print(f"figures and rows: {chosen.dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
