"""Counts the message delays of a commit among 2 to 32 participants:
`python -m experiments.commit_rounds [--trials 1]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.commit_rounds.__main__")

from collections.abc import Sequence

from experiments.commit_cost.count import count
from experiments.commit_rounds.analyze import DELAYS, SIZES, report
from experiments.studies import options, run_trials
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.commit_rounds", "Does a commit take N-1 rounds of communication?", 1, arguments)
    lines = [((name, size, int("Paxos" in name)), chosen.trials) for name in DELAYS for size in SIZES]
    agrees = report(run_trials(count, lines, chosen.processes), chosen.dir)
    print(f"figure and rows: {chosen.dir}")
    return 0 if agrees else 2
