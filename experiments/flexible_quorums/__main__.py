"""Measures what smaller quorums save and cost: `python -m experiments.flexible_quorums [--trials 1]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.flexible_quorums.__main__")

from collections.abc import Sequence

from experiments.flexible_quorums.analyze import report
from experiments.flexible_quorums.lines import hold, lines
from experiments.studies import options, run_trials
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.flexible_quorums", "What smaller quorums save and cost.", 1, arguments)
    report(run_trials(hold, [(line, chosen.trials) for line in lines()], chosen.processes), chosen.dir)
    print(f"figures and rows: {chosen.dir}")
    return 0
