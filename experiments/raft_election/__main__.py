"""Holds all elections and writes tables and figures: `python -m experiments.raft_election [--trials 1000]`.

The wide-area and split-vote lines have ten times as many trials.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.raft_election.__main__")

from collections.abc import Sequence

from experiments.raft_election.analyze import report
from experiments.raft_election.lines import hold, lines, sized
from experiments.studies import options, run_trials
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.raft_election", "How long elections take in Raft.", 1000, arguments)
    report(run_trials(hold, sized(lines(), chosen.trials), chosen.processes), chosen.dir)
    print(f"figures and rows: {chosen.dir}")
    return 0
