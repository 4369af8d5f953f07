"""Throws balls, simulates queues and runs the service: `python -m experiments.two_choices [--trials 10]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.two_choices.__main__")

from collections.abc import Sequence

from experiments.studies import options, run_trials
from experiments.two_choices.analyze import report
from experiments.two_choices.balls import throw
from experiments.two_choices.queues import queue
from experiments.two_choices.runs import serve
from experiments.two_choices.settings import BALLS, FRESH, SERVICE, STALE
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.two_choices", "What does a second choice bring?", 10, arguments)
    balls = run_trials(throw, [(line, chosen.trials) for line in BALLS], chosen.processes)
    queues = run_trials(queue, [(line, 1) for line in (*FRESH, *STALE)], chosen.processes)
    served = run_trials(serve, [(line, 1) for line in SERVICE], chosen.processes)
    agrees = report(balls, queues, served, chosen.dir)
    print(f"figure and rows: {chosen.dir}")
    return 0 if agrees else 2
