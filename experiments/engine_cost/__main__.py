"""Measures every row and prints the table: `python -m experiments.engine_cost [--only GROUP] [--repeat N] [--duration 10s]`.

Exit 0 if every bar holds, 2 if one is missed or a run did not end valid.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.engine_cost.__main__")

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.engine_cost.rows import Row, rows
from experiments.measuring import measure
from framework.console.command import Parser, count, one_of
from framework.console.entry import carried_out


@dataclass
class Measured:
    """The figures of one row over all repetitions, and the results that they come from."""

    row: Row
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def figures(self) -> list[float]:
        return [self.row.figure(result) for result in self.results]

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    @property
    def trusted(self) -> bool:
        """A figure counts only from a run that was checked and found valid."""
        return bool(self.results) and all(result["verdict"] == "valid" for result in self.results if self.row.checked)


def measure_all(wanted: Sequence[Row], repeat: int, console: Console) -> list[Measured]:
    """Every distinct run `repeat` times, in turns, so that drift of the machine falls on all alike."""
    measured = [Measured(row) for row in wanted]
    runs = list(dict.fromkeys(row.overrides for row in wanted))
    with tempfile.TemporaryDirectory(prefix="engine-cost-") as scratch:
        for turn in range(repeat):
            for number, overrides in enumerate(runs):
                console.print(f"[dim]{turn + 1}/{repeat} {' '.join(overrides)}[/dim]", highlight=False)
                result = measure(overrides, Path(scratch) / f"{turn}-{number}")
                for one in measured:
                    if one.row.overrides == overrides:
                        one.results.append(result)
    return measured


def table(measured: Sequence[Measured]) -> Table:
    table = Table(title="What the engines cost (medians)")
    for heading in ("what", "bar", "measured", "range", "", "verdict", "fsyncs", "operations"):
        table.add_column(heading, justify="left" if heading in ("what", "verdict", "") else "right", no_wrap=True)
    for one in measured:
        held = one.row.holds(one.median)
        middle = sorted(one.results, key=one.row.figure)[len(one.results) // 2]
        table.add_row(
            one.row.name,
            f"{one.row.bar} {one.row.unit}" if one.row.bar else "",
            f"{_number(one.median)} {one.row.unit}",
            f"{_number(min(one.figures))}–{_number(max(one.figures))}",
            {True: "[green]held[/green]", False: "[red]missed[/red]", None: ""}[held],
            middle["verdict"] if one.row.checked else "not checked",
            f"{middle['fsyncs']:,}",
            f"{sum(middle['operations'].values()):,}",
        )
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _measure(_options(arguments)))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    known = list(dict.fromkeys(row.group for row in rows("10s")))
    parser = Parser("experiments.engine_cost", __doc__.split("\n")[0])
    parser.add_argument("--only", type=one_of(known), help="one group of rows")
    parser.add_argument("--repeat", type=count, default=3, help="how often each run is repeated (default 3)")
    parser.add_argument("--duration", default="10s", help="how long each run on Ray lasts (default 10s)")
    return parser.read(arguments)


def _measure(options: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else 160)
    wanted = [row for row in rows(options.duration) if options.only in (None, row.group)]
    measured = measure_all(wanted, options.repeat, console)
    console.print(table(measured))
    untrusted = [one.row.name.strip() for one in measured if not one.trusted]
    if untrusted:
        console.print(f"these figures do not count, a run was not valid: {', '.join(untrusted)}")
        return 2
    return 2 if any(one.row.holds(one.median) is False for one in measured) else 0
