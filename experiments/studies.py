"""What studies of many short simulated trials have in common: options, trials on every core, tables, rows on disk.

The same command gives the same rows, whatever the number of processes: a trial depends on its line and its seed alone.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.csv
from rich.console import Console
from rich.progress import track
from rich.table import Table

from framework.console.command import Parser, count
from framework.core.errors import ConfigError
from framework.sweep.pool import results

Line = TypeVar("Line")
Outcome = TypeVar("Outcome")

_AT_A_TIME = 20
"""Trials that a process takes at a time."""


def options(package: str, about: str, trials: int, arguments: Sequence[str]) -> Namespace:
    """`--trials`, `--processes` and `--dir`, as every study takes them. ConfigError for what cannot be."""
    folder = Path("runs") / package.rpartition(".")[2]
    parser = Parser(package, about)
    parser.add_argument("--trials", type=count, default=trials, help=f"trials of each line (default {trials:,})")
    parser.add_argument("--processes", type=count, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--dir", type=Path, default=folder, help=f"where rows and figures go (default {folder})")
    chosen = parser.read(arguments)
    try:
        chosen.dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--dir {chosen.dir}", f"cannot be used: {error.strerror}", "Name another folder.") from error
    return chosen


def run_trials(
    hold: Callable[[Line, range], list[Outcome]], lines: Sequence[tuple[Line, int]], processes: int
) -> list[Outcome]:
    """What `hold(line, seeds)` gives for each line with so many trials, in order, with a progress bar on a terminal."""
    calls = [
        (line, range(first, min(first + _AT_A_TIME, trials)))
        for line, trials in lines
        for first in range(0, trials, _AT_A_TIME)
    ]
    shown = Console(stderr=True)
    with closing(_held(hold, calls, processes)) as portions:
        told = track(portions, "trials", len(calls), console=shown, disable=not shown.is_terminal)
        return [outcome for portion in told for outcome in portion]


def _held(
    hold: Callable[[Line, range], list[Outcome]], calls: Sequence[tuple[Line, range]], processes: int
) -> Generator[list[Outcome], None, None]:
    if processes == 1:
        yield from (hold(*call) for call in calls)
    else:
        with closing(results(hold, calls, processes)) as found:
            yield from found


def write_rows(file: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Writes `file` as an Arrow IPC file, compressed, or as CSV: its suffix says which."""
    table = pa.table(dict(columns))
    if file.suffix == ".csv":
        pa.csv.write_csv(table, file)
        return
    with pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)


def show(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; the first column is to the left, figures to the right."""
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 150).print(table)
