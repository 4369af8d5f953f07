"""Sets the clocks of a lock server and of its clients fast and slow: `python -m experiments.lease_clocks [--trials 1]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.lease_clocks.__main__")

from collections.abc import Sequence

from experiments.lease_clocks.analyze import report
from experiments.lease_clocks.trial import LINES, hold
from experiments.studies import options, run_trials
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.lease_clocks", "Which errors of clocks make leases unsafe?", 1, arguments)
    agrees = report(run_trials(hold, [(line, chosen.trials) for line in LINES], chosen.processes), chosen.dir)
    print(f"figure and rows: {chosen.dir}")
    return 0 if agrees else 2
