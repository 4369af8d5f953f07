"""Runs many seeds of one experiment and sums up: `python -m experiments.soak --experiment raft_chaos --seeds 0:5000`.

What was interrupted goes on where it was. Exit 0 if every seed is valid, 1 if one is invalid, 2 if one is unknown.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.soak.__main__")

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.soak.record import Record
from experiments.soak.seeds import Course, confirmed, outcomes
from experiments.soak.summary import exit_code, shown, summary
from framework.console.command import Parser, count, number
from framework.console.entry import carried_out

_TOLD_EVERY_S = 10.0


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _soak(_options(arguments)), "interrupted; the same command goes on from here")


def _soak(options: argparse.Namespace) -> int:
    overrides = (f"experiment={options.experiment}", "trace=history", *options.overrides)
    folder = options.dir or Path("runs") / f"soak-{options.experiment}"
    course = Course.of(overrides)
    record = Record(folder, overrides)
    seeds = [seed for seed in options.seeds if seed not in record.outcomes]
    began = told = time.monotonic()
    try:
        for done, outcome in enumerate(outcomes(course, seeds, options.processes), 1):
            record.add(outcome)
            if time.monotonic() - told > _TOLD_EVERY_S:
                told = time.monotonic()
                print(f"{done:,} of {len(seeds):,} seeds, {done / (told - began):.1f}/s", flush=True)
        took_s = time.monotonic() - began
        if course.composed.engine == "sim":
            _confirm(course, record, options, seeds)
    finally:
        record.close()
    wanted = [record.outcomes[seed] for seed in options.seeds if seed in record.outcomes]
    print(*summary(wanted, course.command, took_s, len(seeds)), f"file: {record.file}", sep="\n")
    return exit_code(wanted) if len(wanted) == len(options.seeds) else 2


def _confirm(course: Course, record: Record, options: argparse.Namespace, done: Sequence[int]) -> None:
    """Runs in processes of their own the failures that are about to be shown, and the last seed of those `done` now, before
    which its process has run most others."""
    failures = shown([record.outcomes[seed] for seed in options.seeds if seed in record.outcomes])
    found = [outcome for outcome in failures if not outcome.alone]
    if len(done) > 1 and record.outcomes[done[-1]] not in failures:
        found.append(record.outcomes[done[-1]])
    for outcome in confirmed(course, found):
        if outcome.another or outcome.verdict != "valid":
            record.add(outcome)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser("experiments.soak", __doc__.split("\n")[0])
    parser.add_argument("--experiment", default="raft_chaos", help="which (default raft_chaos)")
    parser.add_argument(
        "--seeds", type=_range, default=range(100), metavar="A:B", help="from A up to B (default 0:100)"
    )
    parser.add_argument("--processes", type=count, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--dir", type=Path, help="where the outcomes are kept (default runs/soak-EXPERIMENT)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings, as framework.run takes them")
    return parser.read(arguments)


def _range(text: str) -> range:
    first, stop = map(number, (text.partition(":")[0], text.partition(":")[2]))
    if first is None or stop is None or first >= stop:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of seeds: write 0:5000")
    return range(first, stop)
