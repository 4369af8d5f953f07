"""Table and figure of what moves."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from experiments import charts
from experiments.placement_movement.measure import CHANGES, Moved
from experiments.studies import show, write_rows

MINIMAL = {
    "ring, 100": set(CHANGES),
    "rendezvous": set(CHANGES),
    "multi_probe, 21": set(CHANGES),
    "jump": {"1 joins", "10 join", "the last leaves"},
}
"""The changes on which a placement promises to move nothing but what must."""


def report(found: Sequence[Moved], folder: Path) -> bool:
    """Prints the table, writes rows and figure into `folder`. Returns `promises_kept`."""
    write_rows(folder / "movement.csv", {field: [getattr(one, field) for one in found] for field in Moved._fields})
    lines = list(dict.fromkeys(one.name for one in found))
    show(
        "Share of the ids that move, of 100 nodes (in brackets: what must)",
        ("", *CHANGES),
        [(name, *(_shown(_of(name, change, found)) for change in CHANGES)) for name in lines],
    )
    tables = [name for name in lines if name.startswith("maglev")]
    show(
        "Maglev: entries of the table that change though their node stays and no new node has them",
        ("", *CHANGES),
        [
            (name, *(f"{statistics.mean(one.needless for one in _of(name, change, found)):.2%}" for change in CHANGES))
            for name in tables
        ],
    )
    charts.save(figure(found, lines), folder / "movement")
    return promises_kept(found)


def promises_kept(found: Sequence[Moved]) -> bool:
    """Returns whether nothing but what must has moved where that is promised, and nowhere less."""
    minimal = all(one.moved == one.least for one in found if one.change in MINIMAL.get(one.name, ()))
    return minimal and all(one.moved >= one.least for one in found)


def _of(name: str, change: str, found: Sequence[Moved]) -> list[Moved]:
    return [one for one in found if (one.name, one.change) == (name, change)]


def _shown(those: Sequence[Moved]) -> str:
    moved, least = (statistics.mean(getattr(one, field) for one in those) for field in ("moved", "least"))
    return f"{moved:.2%} ({least:.2%})"


def figure(found: Sequence[Moved], lines: Sequence[str]) -> object:
    """What moves in proportion to what must, for each placement, on some of the changes."""
    rows = [name for name in lines if name != "modulo"]
    chart = charts.dot_rows(
        {change: {name: _proportion(_of(name, change, found)) for name in rows} for change in ("1 joins", "1 in the middle leaves", "10 fail")},
        x="ids that move, for each that must", title="100 nodes. modulo, which moves up to 99 percent of all ids, is left out.",
        legend="", marks=dict.fromkeys(rows, 1.0), mark="nothing but what must.", apart=True,
    )  # fmt: skip
    return charts.below(chart, title="Only ring, rendezvous and multi-probe never move more than must be moved")


def _proportion(those: Sequence[Moved]) -> float:
    return statistics.mean(one.moved for one in those) / statistics.mean(one.least for one in those)
