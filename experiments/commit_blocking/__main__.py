"""Kills coordinators and participants of atomic commitment, and cuts them off: `python -m experiments.commit_blocking [--trials 1]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.commit_blocking.__main__")

from collections.abc import Sequence

from experiments.commit_blocking.analyze import report
from experiments.commit_blocking.scenarios import ABSENT, CONTENDERS, OTHERS
from experiments.commit_blocking.trial import hold
from experiments.studies import options, run_trials
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.commit_blocking", "Which commit protocol blocks, and for how long?", 1, arguments)
    lines = [((name, scenario), chosen.trials) for name in CONTENDERS for scenario in dict.fromkeys((*ABSENT, *OTHERS))]
    agrees = report(run_trials(hold, lines, chosen.processes), chosen.dir)
    print(f"figure and rows: {chosen.dir}")
    return 0 if agrees else 2
