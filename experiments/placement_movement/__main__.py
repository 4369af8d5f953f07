"""Counts the ids that move when nodes come and go: `python -m experiments.placement_movement [--trials 5]`."""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.placement_movement.__main__")

from collections.abc import Sequence

from experiments.placement_movement.analyze import report
from experiments.placement_movement.measure import CHANGES, Moved, moved
from experiments.studies import options, run_trials
from framework.console.entry import carried_out

LINES = (
    "ring, 100", "rendezvous", "multi_probe, 21", "jump", "maglev, 65537", "maglev, 655373", "bounded_load, c=1.25",
    "bounded_load, c=1.05", "modulo",
)  # fmt: skip


def trial(line: tuple[str, str], seeds: range) -> list[Moved]:
    return [moved(*line, seed) for seed in seeds]


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _study(arguments))


def _study(arguments: Sequence[str]) -> int:
    chosen = options("experiments.placement_movement", "What moves when nodes come and go?", 5, arguments)
    lines = [((name, change), chosen.trials) for name in LINES for change in CHANGES]
    minimal = report(run_trials(trial, lines, chosen.processes), chosen.dir)
    print(f"figure and rows: {chosen.dir}")
    return 0 if minimal else 2
