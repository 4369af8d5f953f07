"""Measures what clients wait for by where the leader stands: `python -m experiments.wan_latency [--trials 1]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.wan_latency.__main__")

from collections.abc import Sequence

from experiments.studies import options, run_trials
from experiments.wan_latency.analyze import report
from experiments.wan_latency.lines import LINES, hold
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.wan_latency", "What clients wait for, by where the leader stands.", 1, arguments)
    report(run_trials(hold, [(name, chosen.trials) for name in LINES], chosen.processes), chosen.dir)
    print(f"figures and rows: {chosen.dir}")
    return 0
