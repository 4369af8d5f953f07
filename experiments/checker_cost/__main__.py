"""Measures every row and prints the table: `python -m experiments.checker_cost [--only GROUP] [--repeat N]`.

Each check runs in a process of its own, so that its memory is its own. Exit 0 if every bar holds, 2 if one is missed
or a check ended with a verdict that is not expected of it.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.checker_cost.__main__")

import argparse
import statistics
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from experiments.checker_cost.measure import Check, measure
from experiments.checker_cost.rows import Row, rows
from framework.console.command import Parser, count, one_of
from framework.console.entry import carried_out

SLACK = 1.1
"""What the memory of a row may be, compared with that of the row it is held against."""


def table(measured: dict[str, tuple[Row, list[Check]]]) -> Table:
    """A row a history."""
    shown = Table(title="What checking costs (medians)")
    for heading in (
        "history",
        "operations",
        "clients",
        "keys",
        "bar",
        "verdict in",
        "range",
        "evidence in",
        "memory",
        "",
        "verdict",
    ):
        shown.add_column(heading, justify="left" if heading in ("history", "verdict", "") else "right", no_wrap=True)
    for row, checks in measured.values():
        times = [one.seconds for one in checks]
        evidence_s = statistics.median(one.evidence_s for one in checks)
        shown.add_row(
            row.name, f"{row.operations:,}", f"{row.clients}", f"{row.keys:,}", _bar(row),
            f"{statistics.median(times):.2f} s", f"{min(times):.2f}–{max(times):.2f}",
            f"{evidence_s:.2f} s" if "invalid" in row.verdicts else "", f"{_memory(checks):,.0f} MiB",
            {True: "[green]held[/green]", False: "[red]missed[/red]", None: ""}[holds(row, measured)],
            ", ".join(sorted({one.verdict for one in checks})),
        )  # fmt: skip
    return shown


def holds(row: Row, measured: dict[str, tuple[Row, list[Check]]]) -> bool | None:
    """Whether the row keeps its bar; None without one."""
    checks = measured[row.name][1]
    kept = []
    if row.memory_of is not None:
        kept.append(_memory(checks) <= SLACK * _memory(measured[row.memory_of][1]))
    if row.at_most_s is not None:
        kept.append(statistics.median(one.seconds + one.evidence_s for one in checks) <= row.at_most_s)
    if row.at_most_mib is not None:
        kept.append(_memory(checks) <= row.at_most_mib)
    return all(kept) if kept else None


def _bar(row: Row) -> str:
    bars = [f"≤ {row.at_most_s:g} s"] if row.at_most_s else []
    bars += [f"≤ {row.at_most_mib:,.0f} MiB"] if row.at_most_mib else []
    return ", ".join(bars) or ("as above" if row.memory_of else "")


def _memory(checks: Sequence[Check]) -> float:
    return statistics.median(one.after_mib for one in checks)


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _measure(_options(arguments)))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    known = list(dict.fromkeys(row.group for row in rows()))
    parser = Parser("experiments.checker_cost", str(__doc__).split("\n\n")[0])
    parser.add_argument("--only", type=one_of(known), help="one group of rows")
    parser.add_argument("--repeat", type=count, default=3, help="how many seeds of each history (default 3)")
    return parser.read(arguments)


def _measure(options: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else 190)
    measured: dict[str, tuple[Row, list[Check]]] = {}
    for row in rows():
        if options.only in (None, row.group):
            console.print(f"[dim]{row.name}[/dim]", highlight=False)
            measured[row.name] = (row, measure(row, options.repeat))
    console.print(table(measured))
    if any(one.verdict not in row.verdicts for row, checks in measured.values() for one in checks):
        return 2
    return 2 if any(holds(row, measured) is False for row, _ in measured.values()) else 0
