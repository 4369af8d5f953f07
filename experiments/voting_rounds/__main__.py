"""Counts terms and ballots: `python -m experiments.voting_rounds [--trials 500]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.voting_rounds.__main__")

from collections.abc import Sequence

from experiments.studies import options, run_trials
from experiments.voting_rounds.analyze import report
from experiments.voting_rounds.lines import hold, sized
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.voting_rounds", "How many rounds of voting Paxos and Raft need.", 500, arguments)
    report(run_trials(hold, sized(chosen.trials), chosen.processes), chosen.dir)
    print(f"figures and rows: {chosen.dir}")
    return 0
