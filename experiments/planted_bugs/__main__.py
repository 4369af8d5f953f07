"""Hunts every planted bug of a protocol and prints the kill table: `python -m experiments.planted_bugs [--only NAME]`.

Run it from the repository's root. Exit 0 if every mutant was caught in most of its hunts and the protocol itself in
none, else 2.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.planted_bugs.__main__")

import argparse
import os
import sys
from collections.abc import Sequence

from rich.console import Console

from experiments.planted_bugs.campaign import hunt_all, lines_of, protocols
from experiments.planted_bugs.hunt import CONFIGS
from experiments.planted_bugs.table import markdown, table
from framework.console.command import Parser, count, one_of
from framework.console.entry import carried_out


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _campaign(_options(arguments)))


def _campaign(options: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else 160)
    lines = lines_of(options.protocol, options.only)
    experiment = options.experiment or f"{options.protocol}_storm"
    hunts = hunt_all(lines, experiment, options.config_dir, options.seeds, options.bases, options.processes)
    for line in hunts:
        name, _, _, by, seeds, _ = line.cells()
        console.print(f"[dim]{name}: {by}{', seeds ' if seeds else ''}{seeds}[/dim]", highlight=False)
    if options.markdown:
        print(markdown(lines))
    else:
        console.print(table(lines))
    for line in lines:
        for catch in line.catches[:1]:
            console.print(f"{line.protocol}: {catch.reason}\n  {catch.command}", highlight=False, soft_wrap=True)
    return 0 if all(line.as_it_should_be for line in lines) else 2


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser("experiments.planted_bugs", __doc__.split("\n\n")[0])
    parser.add_argument("--protocol", type=one_of(protocols()), default="raft", help="whose mutants (default raft)")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="this mutant alone; may be repeated"
    )
    parser.add_argument("--experiment", help="what they are put through (default PROTOCOL_storm)")
    parser.add_argument(
        "--config-dir", default=CONFIGS, metavar="DIR", help=f"your own folder with that experiment (default {CONFIGS})"
    )
    parser.add_argument("--seeds", type=count, default=200, help="seeds that one hunt tries (default 200)")
    parser.add_argument(
        "--bases", type=count, default=3, help="hunts for each mutant, from seeds far apart (default 3)"
    )
    parser.add_argument("--processes", type=count, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--markdown", action="store_true", help="print the table for a document")
    return parser.read(arguments)
