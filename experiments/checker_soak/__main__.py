"""Every checker against brute force: `python -m experiments.checker_soak [--cases 20000] [--only MODEL]`.

Run it from the repository's root. Exit 0 if the checker and the twin agree on every case, else 2.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.checker_soak.__main__")

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing

from rich.console import Console
from rich.table import Table

from experiments.checker_soak.compare import LONGEST, SHORTEST, Share, compare
from framework.checking.models.catalog import built_in_models
from framework.console.command import Parser, count, one_of, whole
from framework.console.entry import carried_out
from framework.sweep.pool import results


def table(shares: dict[str, list[Share]]) -> Table:
    """A row a model."""
    shown = Table(title=f"The checker against all linearizations of {SHORTEST} to {LONGEST} operations")
    headings = (
        "model",
        "cases",
        "valid",
        "invalid",
        "nothing known",
        "with open",
        "with failed",
        "by times alone",
        "disagree",
    )
    for heading in headings:
        shown.add_column(heading, justify="left" if heading == "model" else "right")
    for name, its in shares.items():
        kinds = sum((share.kinds for share in its), Counter[str]())
        wrong = sum(len(share.wrong) for share in its)
        counts = [kinds[kind] for kind in ("cases", "valid", "invalid", "unknown", "open", "failed", "fast")]
        shown.add_row(name, *(f"{count:,}" for count in counts), f"[red]{wrong}[/red]" if wrong else "0")
    return shown


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _soak(_options(arguments)))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser("experiments.checker_soak", str(__doc__).split("\n\n")[0])
    parser.add_argument("--cases", type=count, default=20_000, help="cases of each model (default 20000)")
    parser.add_argument(
        "--only", action="append", type=one_of(built_in_models()), help="this model alone; may be repeated"
    )
    parser.add_argument("--seed", type=whole, default=0, help="where the drawing begins (default 0)")
    parser.add_argument("--processes", type=count, default=os.cpu_count() or 1, help="processes (default: one a core)")
    return parser.read(arguments)


def _soak(options: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else 140)
    shares: dict[str, list[Share]] = {name: [] for name in options.only or built_in_models()}
    portion = -(-options.cases // options.processes)
    calls = [
        (name, min(portion, options.cases - begun), options.seed + 1000 * turn)
        for name in shares
        for turn, begun in enumerate(range(0, options.cases, portion))
    ]
    with closing(results(compare, calls, options.processes)) as found:
        for share in found:
            shares[share.model].append(share)
            console.print(f"[dim]{share.model}: {share.kinds['cases']:,} cases[/dim]", highlight=False)
    console.print(table(shares))
    wrong = [line for its in shares.values() for share in its for line in share.wrong]
    for line in wrong[:5]:
        console.print(line, highlight=False, soft_wrap=True)
    return 2 if wrong else 0
