"""Runs many seeds of one experiment and sums up: `python -m experiments.soak --experiment raft_chaos --seeds 0:5000`.

What was interrupted goes on where it was. Exit 0 if every seed is valid, 1 if one is invalid, 2 if one is unknown.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.soak.record import Record
from experiments.soak.seeds import Course
from experiments.soak.summary import exit_code, summary
from experiments.soak.workers import outcomes
from framework.core.errors import ConfigError, PluginError

_TOLD_EVERY_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    overrides = (f"experiment={options.experiment}", "trace=history", *options.overrides)
    folder = options.dir or Path("runs") / f"soak-{options.experiment}"
    try:
        course = Course.of(overrides)
        record = Record(folder, overrides)
    except (ConfigError, PluginError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    seeds = [seed for seed in options.seeds if seed not in record.outcomes]
    began = told = time.monotonic()
    try:
        for done, outcome in enumerate(outcomes(course, seeds, options.processes), 1):
            record.add(outcome)
            if time.monotonic() - told > _TOLD_EVERY_S:
                told = time.monotonic()
                print(f"{done:,} of {len(seeds):,} seeds, {done / (told - began):.1f}/s", flush=True)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 2
    finally:
        record.close()
    wanted = [record.outcomes[seed] for seed in options.seeds if seed in record.outcomes]
    print(*summary(wanted, course.command, time.monotonic() - began, len(seeds)), f"file: {record.file}", sep="\n")
    return exit_code(wanted) if len(wanted) == len(options.seeds) else 2


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--experiment", default="raft_chaos", help="which (default raft_chaos)")
    parser.add_argument(
        "--seeds", type=_range, default=range(100), metavar="A:B", help="from A up to B (default 0:100)"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--dir", type=Path, help="where the outcomes are kept (default runs/soak-EXPERIMENT)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings, as framework.run takes them")
    options = parser.parse_args(arguments)
    if options.processes < 1:
        parser.error("--processes must be at least 1")
    return options


def _range(text: str) -> range:
    first, colon, stop = text.partition(":")
    if not (colon and first.isdigit() and stop.isdigit() and int(first) < int(stop)):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of seeds: write 0:5000")
    return range(int(first), int(stop))


if __name__ == "__main__":
    sys.exit(main())
