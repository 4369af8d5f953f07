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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from framework.console.command import Parser, count, one_of
from framework.console.entry import carried_out
from framework.console.formatting import counted, milliseconds, rate
from framework.core.command_line import command_line
from framework.core.errors import ConfigError, did_you_mean
from framework.core.tracebacks import printable

if TYPE_CHECKING:
    from framework.report.run_list import ListedRun

FOLDER = "runs"
LIMIT = 50
VERDICTS = ("valid", "invalid", "unknown", "none")
_PLAIN_WIDTH = 160
_GAP, _NARROWEST, _WIDEST = 2, 24, 36
"""Columns between two cells; the least of the last cell, and the most of the others, which go on in the next line."""
_FOLDED, _SHORTEST = 20, 10
"""The least columns of a name, beside numbers and alone."""


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
    """Yields the table. A narrow terminal lacks some columns, and a reason that is too long for its line its end."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    rows = [_cells(run, folder) for run in runs]
    widths = _widths(rows, console.width)
    table = Table(box=None, padding=(0, _GAP, 0, 0))
    for head, width in widths.items():
        side: Literal["left", "right"] = "right" if head in _NUMBERS else "left"
        is_last = head == _WHY
        table.add_column(head, justify=side, width=width, no_wrap=is_last, overflow="ellipsis" if is_last else "fold")
    for run, row in zip(runs, rows, strict=True):
        verdict = _STYLES.get(run.verdict, "dim")
        table.add_row(*(Text(row[head], style=verdict if head == "verdict" else "") for head in widths))
    with console.capture() as captured:
        if runs:
            console.print(table)
    yield from (line.rstrip() for line in captured.get().splitlines())


def _widths(rows: Sequence[Mapping[str, str]], most: int) -> dict[str, int]:
    """Returns the columns that have room on a line of `most` columns, with their widths. Names are folded before numbers
    are left out."""
    from rich.cells import cell_len

    widths = {head: min(_WIDEST, max(cell_len(row[head]) for row in rows)) for head in rows[0]} if rows else {}
    widths = {head: max(width, cell_len(head)) for head, width in widths.items()}
    longest = max((cell_len(row[_WHY]) for row in rows), default=0)
    widths[_WHY] = _NARROWEST

    def room() -> int:
        return most - sum(widths.values()) - _GAP * len(widths)

    for optional, least in ((_OPTIONAL, _FOLDED), (_NUMBERS, _SHORTEST)):
        for head in optional:
            if room() < 0:
                widths.pop(head, None)
        for head in _NAMES if rows else ():
            widths[head] -= max(0, min(-room(), widths[head] - least))
    if _WHY in widths:
        widths[_WHY] += max(0, min(room(), longest - _NARROWEST))
    return widths


def _cells(run: ListedRun, folder: Path) -> dict[str, str]:
    """Returns the text of each column, without control characters, which a terminal would obey."""
    cells = {
        "started": run.started.replace("T", " ").removesuffix("Z"),
        "folder": printable(str(run.folder.relative_to(folder))),
        "experiment": run.experiment,
        "engine": run.engine if run.kind == "run" else f"{run.engine} sweep",
        "seed": "" if run.seed is None else str(run.seed),
        "operations/s": "" if run.throughput_ops_s is None else rate(run.throughput_ops_s).removesuffix("/s"),
        "p99": milliseconds(run.latency_ms.get("p99")) if run.latency_ms else "",
        "verdict": run.verdict,
        _WHY: "; ".join(filter(None, (run.reason, " ".join(run.differing)))),
    }
    return {head: "".join(char if char.isprintable() else "�" for char in cell) for head, cell in cells.items()}


_WHY = "reason; not the default"
_NUMBERS = ("seed", "p99", "operations/s")
_NAMES = ("experiment", "folder")
_OPTIONAL = (_WHY, "engine", "started", "seed")
"""The columns that a narrow terminal lacks, in this order; a very narrow one lacks the other numbers too."""
_STYLES = {"valid": "green", "invalid": "bold red", "unknown": "yellow"}
