"""From what clients waited for to tables and the figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

from experiments import charts
from experiments.studies import show, write_rows
from experiments.wan_latency.distances import REGIONS, SITES
from experiments.wan_latency.lines import AWS, FIGURE_4, Waited

Cells = Mapping[str, Waited]
"""By the client's site."""


def report(waits: Sequence[Waited], folder: Path) -> None:
    """Prints the tables; writes rows and figure into `folder`. Rows of several trials stand one after the other."""
    write_rows(folder / "latencies.csv", {name: [getattr(one, name) for one in waits] for name in Waited._fields})
    _show_figure_4([one for one in waits if one.study == FIGURE_4])
    lines = by_line([one for one in waits if one.study == AWS])
    _show_positions(lines)
    charts.save(figure(lines), folder / "positions")


def by_line(waits: Sequence[Waited]) -> dict[str, Cells]:
    """The first trial of each row of the table of positions, by the row's name. With a leader reads are as writes."""
    lines: dict[str, dict[str, Waited]] = {}
    for one in waits:
        for name in _rows_of(one):
            lines.setdefault(name, {}).setdefault(one.site, one)
    return dict(lines)


def _rows_of(one: Waited) -> Iterator[str]:
    if one.leader:
        if one.function == "write":
            yield f"{one.line}, leader in {one.leader}"
    elif one.line.endswith("always"):
        if one.function == "write":
            yield "abd"
    elif one.function == "read":
        yield "abd, read without write-back"


def _show_figure_4(waits: Sequence[Waited]) -> None:
    rows = [
        (f"{one.line}, seed {one.seed}", one.site, f"{one.computed:,.1f}", f"{one.least:,.3f}", f"{one.p50:,.3f}", f"{one.most:,.3f}",
         f"{one.operations:,}")
        for one in waits
    ]  # fmt: skip
    show(
        "Multi-Paxos, leader in CA, round trips of SOSP 2013's figure 4, ms",
        ("", "client in", "computed", "least", "median", "most", "writes"),
        rows,
    )


def _show_positions(lines: Mapping[str, Cells]) -> None:
    rows = []
    for name, cells in lines.items():
        medians = [cells[site].p50 for site in SITES]
        off = max(abs(one.p50 / one.computed - 1) for one in cells.values())
        told = [f"{cells[site].p50:,.0f} / {cells[site].p99:,.0f}" for site in SITES]
        rows.append((name, *told, f"{mean(medians):,.0f}", f"{max(medians):,.0f}", f"{off:.2%}"))
    show(
        "Five regions of AWS: median / p99 of clients in each, ms",
        ("", *SITES, "mean of medians", "worst", "off computed"),
        rows,
    )


def figure(lines: Mapping[str, Cells]) -> object:
    """Each row of the table with Multi-Paxos for both that have a leader: who waits for how long."""
    drawn = {_label(name): cells for name, cells in lines.items() if not name.startswith("raft")}
    ordered = sorted(drawn, key=lambda name: mean(cell.p50 for cell in drawn[name].values()))
    chart = charts.dot_rows(
        {f"{site} ({REGIONS[site]})": {name: drawn[name][site].p50 for name in ordered} for site in SITES},
        x="median latency, ms", title="Dots: what clients in each region wait for, at the median.", legend="clients in",
        marks={name: mean(cell.p50 for cell in drawn[name].values()) for name in ordered}, mark="mean of the five.",
    )  # fmt: skip
    return charts.below(chart, title="In CA a leader keeps clients waiting for 127 ms on average, in EU for 236 ms")


def _label(name: str) -> str:
    protocol, _, rest = name.partition(", ")
    return {"multipaxos": rest, "abd": f"ABD, {rest}" if rest else "ABD, read or write"}.get(protocol, name)
