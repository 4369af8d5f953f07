"""Puts every lock under every fault, with and without fencing: `python -m experiments.lock_safety [--trials 5]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.lock_safety.__main__")

from collections.abc import Sequence

from experiments.lock_safety.analyze import report
from experiments.lock_safety.scenarios import LINES
from experiments.lock_safety.trial import hold
from experiments.studies import options, run_trials
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.lock_safety", "Which locks protect what they guard?", 5, arguments)
    agrees = report(run_trials(hold, [(line, chosen.trials) for line in LINES], chosen.processes), chosen.dir)
    print(f"figure, stories and rows: {chosen.dir}")
    return 0 if agrees else 2
