"""`python -m framework.runs [FOLDER]`: lists the runs and sweeps below a folder, `runs` by default, the newest first.

A row has the experiment, the engine, the seed, the verdict with its first reason, throughput, latency, and the settings
that differ from their defaults. A run that was cut off or is damaged has no verdict, and its row says why.
`--verdict` and `--experiment` choose rows, `--limit` the number of them. Exit code 0; 2 if there is nothing to list.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports, so that their errors are reported too
    from framework.console.entry import run_as_command

    run_as_command("framework.runs.__main__")

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from framework.console.command import Parser, count, one_of
from framework.console.entry import carried_out
from framework.console.formatting import counted, milliseconds, rate
from framework.core.command_line import command_line
from framework.core.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from framework.report.run_list import ListedRun

FOLDER = "runs"
LIMIT = 50
VERDICTS = ("valid", "invalid", "unknown", "none")
_PLAIN_WIDTH = 160


def main(argv: Sequence[str]) -> int:
    """Runs the command with these arguments; returns its exit code."""
    return carried_out(lambda: _list(_parsed(argv)))


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser("framework.runs", "Lists the runs and sweeps below a folder, the newest first.")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", default=FOLDER, help="where they are; by default runs")
    parser.add_argument("--verdict", type=one_of(VERDICTS), help="only those with this verdict; none: without one")
    parser.add_argument("--experiment", metavar="NAME", help="only those of this experiment")
    parser.add_argument("--limit", type=count, default=LIMIT, metavar="N", help=f"at most N rows; by default {LIMIT}")
    return parser.read(argv)


def _list(asked: argparse.Namespace) -> int:
    from framework.registry.registry import load
    from framework.report.run_list import NO_VERDICT, listed_runs

    folder = Path(asked.folder)
    example = f"Make a run with {command_line('framework.run', 'experiment=raft_5nodes')}."
    if not folder.is_dir():
        raise ConfigError(str(folder), "is no folder" if folder.exists() else "there are no runs yet", example)
    found = listed_runs(folder, load([]))
    if not found:
        raise ConfigError(str(folder), "holds no run and no sweep", example)
    wanted = NO_VERDICT if asked.verdict == "none" else asked.verdict
    chosen = [run for run in _of_experiment(found, asked.experiment, folder) if wanted is None or run.verdict == wanted]
    shown = chosen[: asked.limit]
    for line in _lines(shown, folder):
        print(line)
    print(_conclusion(len(shown), len(chosen), len(found)))
    return 0


def _of_experiment(runs: Sequence[ListedRun], name: str | None, folder: Path) -> list[ListedRun]:
    """Returns the runs of an experiment. Raises ConfigError if there is none."""
    chosen = [run for run in runs if name is None or run.experiment == name]
    if not chosen:
        known = {run.experiment for run in runs if run.experiment}
        raise ConfigError(str(folder), f"holds no run of experiment {name!r}", did_you_mean(str(name), known))
    return chosen


def _conclusion(shown: int, chosen: int, found: int) -> str:
    """Returns how many rows there are: `50 of 312 shown (--limit shows more), of 1,204 in all`."""
    more = f"{shown:,} of {chosen:,} shown (--limit shows more)" if shown < chosen else f"{shown:,} shown"
    return more if chosen == found else f"{more}, of {counted(found, 'row')} in all"


def _lines(runs: Sequence[ListedRun], folder: Path) -> Iterator[str]:
    """Yields the table, a line for each row as far as folders and names allow."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("started", no_wrap=True)
    for head in ("folder", "experiment", "engine"):
        table.add_column(head, overflow="fold")
    for head in ("seed", "operations/s", "p99"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("reason; not the default", overflow="ellipsis", no_wrap=True)
    for run in runs:
        table.add_row(
            run.started.replace("T", " ").removesuffix("Z"),
            Text(str(run.folder.relative_to(folder))),
            Text(run.experiment),
            Text(run.engine if run.kind == "run" else f"{run.engine}, sweep"),
            "" if run.seed is None else str(run.seed),
            "" if run.throughput_ops_s is None else rate(run.throughput_ops_s).removesuffix("/s"),
            milliseconds(run.latency_ms.get("p99")) if run.latency_ms else "",
            Text(run.verdict, style=_STYLES.get(run.verdict, "dim")),
            Text("; ".join(filter(None, (run.reason, " ".join(run.differing))))),
        )
    with console.capture() as captured:
        if runs:
            console.print(table)
    yield from (line.rstrip() for line in captured.get().splitlines())


_STYLES = {"valid": "green", "invalid": "bold red", "unknown": "yellow"}
