"""Every checker against brute force: `python -m experiments.checker_soak [--cases 20000] [--only MODEL]`.

Run it from the repository's root. Exit 0 if the checker and the twin agree on every case, 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from rich.console import Console
from rich.table import Table

from framework.verify.history import Call
from framework.verify.linearizability import check_linearizable, decide_by_times, divide
from framework.verify.models import Model, model_named, models
from framework.verify.verdict import Verdict
from tests.verify.histories import drawn, drawn_runs, explained

SHORTEST, LONGEST = 3, 7
"""Operations of a case; those that failed or were not answered are among them."""
ROUND = 1000
"""Cases that one Hypothesis search draws; a long one lingers around what it has seen."""


class Share(NamedTuple):
    """Some cases of one model. `kinds` counts them by what they are, `wrong` are those that the two disagree on."""

    model: str
    kinds: Counter[str]
    wrong: list[str]


def compare(name: str, cases: int, first_seed: int) -> Share:
    """`cases` cases, half of them of a mostly correct object, half at random among few values and instants."""
    model = model_named(name)
    share = Share(name, Counter(), [])
    number = first_seed
    while share.kinds["cases"] < cases:
        strategy = (drawn if number % 2 else drawn_runs)(model, LONGEST, least=SHORTEST)
        most = min(ROUND, cases - share.kinds["cases"])

        @seed(number)
        @settings(
            max_examples=most,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def one(calls: list[Call]) -> None:
            _judge(calls, model, share)

        one()
        number += 1
    return share


def _judge(calls: list[Call], model: Model, share: Share) -> None:
    kinds = share.kinds
    kinds["cases"] += 1
    found = check_linearizable(calls, model).verdict
    known = any(call.known for call in calls)
    expected = Verdict.UNKNOWN if not known else Verdict.VALID if explained(calls, model) else Verdict.INVALID
    if found is not expected:
        share.wrong.append(f"{model.name}: {found} instead of {expected}: {calls}")
    kinds[expected.value] += 1
    kinds["open"] += any(call.outcome == "unknown" for call in calls)
    kinds["failed"] += any(call.outcome == "fail" for call in calls)
    kinds["fast"] += all(decide_by_times(part.operations, part.model) is not None for part in divide(calls, model))


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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.checker_soak", description=str(__doc__).split("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000, help="cases of each model (default 20000)")
    parser.add_argument("--only", action="append", choices=list(models()), help="this model alone; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="where the drawing begins (default 0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    options = parser.parse_args(arguments)
    if options.cases < 1 or options.processes < 1:
        parser.error("--cases and --processes must be at least 1")
    console = Console(width=None if sys.stdout.isatty() else 140)
    shares: dict[str, list[Share]] = {name: [] for name in options.only or models()}
    portion = -(-options.cases // options.processes)
    with ProcessPoolExecutor(options.processes) as pool:
        waiting = [
            pool.submit(compare, name, min(portion, options.cases - begun), options.seed + 1000 * turn)
            for name in shares
            for turn, begun in enumerate(range(0, options.cases, portion))
        ]
        for done in as_completed(waiting):
            share = done.result()
            shares[share.model].append(share)
            console.print(f"[dim]{share.model}: {share.kinds['cases']:,} cases[/dim]", highlight=False)
    console.print(table(shares))
    wrong = [line for its in shares.values() for share in its for line in share.wrong]
    for line in wrong[:5]:
        console.print(line, highlight=False, soft_wrap=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
