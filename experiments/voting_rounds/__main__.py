"""Counts terms and ballots: `python -m experiments.voting_rounds [--trials 500]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments.studies import options, run_trials
from experiments.voting_rounds.analyze import report
from experiments.voting_rounds.lines import hold, sized
from framework.console.command import carried_out


def main(arguments: Sequence[str] | None = None) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str] | None) -> int:
    chosen = options("experiments.voting_rounds", "How many rounds of voting Paxos and Raft need.", 500, arguments)
    report(run_trials(hold, sized(chosen.trials), chosen.processes), chosen.dir)
    print(f"figures and rows: {chosen.dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
