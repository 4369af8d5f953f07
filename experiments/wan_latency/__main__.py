"""Measures what clients wait for by where the leader stands: `python -m experiments.wan_latency [--trials 1]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments.studies import options, run_trials
from experiments.wan_latency.analyze import report
from experiments.wan_latency.lines import LINES, hold
from framework.console.command import carried_out


def main(arguments: Sequence[str] | None = None) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str] | None) -> int:
    chosen = options("experiments.wan_latency", "What clients wait for, by where the leader stands.", 1, arguments)
    report(run_trials(hold, [(name, chosen.trials) for name in LINES], chosen.processes), chosen.dir)
    print(f"figures and rows: {chosen.dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
