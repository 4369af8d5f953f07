"""Compares failure detectors under loss and varying delays: `python -m experiments.failure_detection [--trials 6]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.failure_detection.__main__")

from collections.abc import Sequence

from experiments.failure_detection.analyze import report
from experiments.failure_detection.lines import DETECTORS, NETWORKS, SIZES
from experiments.failure_detection.trial import calm, crash, first_failed_probe
from experiments.studies import options, run_trials
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.failure_detection", "Failure detectors under loss and delays.", 6, arguments)
    lines = [(name, network) for name in DETECTORS for network in NETWORKS]
    groups = [(size, in_step) for size in SIZES for in_step in (True, False)]
    trials = [
        *run_trials(calm, [(line, max(1, chosen.trials // 3)) for line in lines], chosen.processes),
        *run_trials(crash, [(line, chosen.trials) for line in lines], chosen.processes),
        *run_trials(first_failed_probe, [(group, 20 * chosen.trials) for group in groups], chosen.processes),
    ]
    agrees = report(trials, chosen.dir)
    print(f"figure and rows: {chosen.dir}")
    return 0 if agrees else 2
