"""Measures every row and prints the table:
`python -m experiments.engine_cost [--only GROUP] [--against REV] [--repeat N]`.

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
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.engine_cost.rows import Row, rows
from experiments.engine_cost.trees import tree_of
from experiments.engine_cost.yardstick import simpy_events_per_s
from experiments.measuring import measure
from framework.console.command import Parser, count, one_of
from framework.console.entry import carried_out


@dataclass
class Measured:
    """The figures of one row over all repetitions, and the results that they come from."""

    row: Row
    results: list[dict[str, Any]] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)
    """Results of the other commit, each taken in turns with the one of the same place in `results`."""

    @property
    def figures(self) -> list[float]:
        return [self.row.figure(result) for result in self.results]

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    @property
    def change(self) -> float | None:
        """The median over the pairs of now : before; None if nothing is compared."""
        pairs = zip(self.figures, map(self.row.figure, self.before), strict=True)
        return statistics.median(now / before for now, before in pairs) if self.before else None

    @property
    def trusted(self) -> bool:
        """A figure counts only from a run that was checked and found valid."""
        results = (*self.results, *self.before)
        return bool(results) and all(result["verdict"] == "valid" for result in results if self.row.checked)


def measure_all(
    wanted: Sequence[Row], repeat: int, against: str | None, console: Console
) -> tuple[list[Measured], float]:
    """Every distinct run `repeat` times, in turns, so that drift of the machine falls on all alike; and the median of
    SimPy's events a second, taken between them. With `against`, each run is one of a pair with that commit's; the two
    take turns in being first."""
    measured = [Measured(row) for row in wanted]
    runs = list(dict.fromkeys(row.overrides for row in wanted))
    yardstick = []
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="engine-cost-")))
        trees = [None] if against is None else [None, stack.enter_context(tree_of(against, scratch))]
        for turn in range(repeat):
            yardstick.append(simpy_events_per_s())
            for number, overrides in enumerate(runs):
                console.print(f"[dim]{turn + 1}/{repeat} {' '.join(overrides)}[/dim]", highlight=False)
                for tree in trees if turn % 2 else reversed(trees):
                    result = measure(
                        overrides, scratch / f"{turn}-{number}-{'now' if tree is None else 'before'}", tree
                    )
                    for one in measured:
                        if one.row.overrides == overrides:
                            (one.results if tree is None else one.before).append(result)
    return measured, statistics.median(yardstick)


def table(measured: Sequence[Measured], simpy: float, against: str | None) -> Table:
    table = Table(title=f"What the engines cost (medians; SimPy does {simpy:,.0f} bare events a second here)")
    headings = ["what", "bar", "measured", "range", "", "verdict", "fsyncs", "operations", "of SimPy's"]
    for heading in [*headings, *([] if against is None else [f"now : {against}"])]:
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
            f"{one.median / simpy:.2f}" if one.row.unit == "steps/s" else "",
            *([] if one.change is None else [f"{one.change:.3f}"]),
        )
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _measure(_options(arguments)))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    known = list(dict.fromkeys(row.group for row in rows("10s")))
    parser = Parser("experiments.engine_cost", __doc__.split("\n\n")[0])
    parser.add_argument("--only", type=one_of(known), help="one group of rows")
    parser.add_argument("--repeat", type=count, help="how often each run is repeated (default 3, with --against 7)")
    parser.add_argument("--against", metavar="REV", help="a commit to compare with, run by run in turns")
    parser.add_argument("--duration", default="10s", help="how long each run on Ray lasts (default 10s)")
    options = parser.read(arguments)
    options.repeat = options.repeat or (3 if options.against is None else 7)
    return options


def _measure(options: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else 190)
    wanted = [row for row in rows(options.duration) if options.only in (None, row.group)]
    measured, simpy = measure_all(wanted, options.repeat, options.against, console)
    console.print(table(measured, simpy, options.against))
    untrusted = [one.row.name.strip() for one in measured if not one.trusted]
    if untrusted:
        console.print(f"these figures do not count, a run was not valid: {', '.join(untrusted)}")
        return 2
    return 2 if any(one.row.holds(one.median) is False for one in measured) else 0
