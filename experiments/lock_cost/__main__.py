"""Counts messages and delays of every lock; with `--real` measures locks on Ray beside etcd's: `python -m experiments.lock_cost`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.lock_cost.__main__")

from collections.abc import Sequence

from experiments.lock_cost.analyze import report
from experiments.lock_cost.count import LINES, hold
from experiments.lock_cost.real import compare
from experiments.studies import options, run_trials
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    real = "--real" in arguments
    rest = [argument for argument in arguments if argument != "--real"]
    chosen = options(
        "experiments.lock_cost", "What does a turn with a lock cost? --real: on Ray, beside etcd.", 1, rest
    )
    if real:
        compare(chosen.trials, chosen.dir)
        return 0
    agrees = report(run_trials(hold, [(line, chosen.trials) for line in LINES], chosen.processes), chosen.dir)
    print(f"figure and rows: {chosen.dir}")
    return 0 if agrees else 2
