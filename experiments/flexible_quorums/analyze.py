"""From measurements to tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments import charts
from experiments.flexible_quorums.arithmetic import capacity, waits
from experiments.flexible_quorums.lines import (
    BATCHED,
    LATENCY,
    LOADED,
    PHASE_1,
    SERVICE_US,
    SIZES,
    SURVIVED,
    THROUGHPUT,
    Line,
    Outcome,
)
from experiments.studies import show, write_rows

DRAWN = (3, 5, 7, 10)
"""The numbers of nodes that the figures show."""

HOPS = 2
"""The client's request and its answer."""

Found = Mapping[Line, Outcome]


def report(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Prints the tables; writes all rows and the figures into `folder`. Tables and figures show the first trial."""
    write_rows(folder / "trials.csv", {name: [getattr(one, name) for one in outcomes] for name in Outcome._fields})
    found: dict[Line, Outcome] = {}
    for one in outcomes:
        found.setdefault(Line(*one[:5]), one)
    for nodes in LOADED:
        _show_price(found, nodes)
    _show_latencies(found)
    charts.save(latency_figure(found), folder / "latency")
    charts.save(price_figure(found), folder / "price")


def computed(line: Line) -> tuple[float, float]:
    """Median and p99 that arithmetic gives for a line, in milliseconds."""
    if line.study == PHASE_1:
        return waits(line.nodes, line.nodes + 1 - line.quorum, thrifty=False, hops=0)
    return waits(line.nodes, line.quorum, line.thrifty, HOPS)


# Tables.


def _show_price(found: Found, nodes: int) -> None:
    rows = []
    for quorum in range(1, nodes + 1):
        survived = found[Line(SURVIVED, nodes, quorum)]
        row = [str(quorum), str(nodes + 1 - quorum), str(survived.phase_2_survives), str(survived.phase_1_survives)]
        for line in (Line(LATENCY, nodes, quorum), Line(LATENCY, nodes, quorum, True), Line(PHASE_1, nodes, quorum)):
            row.append(f"{found[line].median_ms:.1f} / {found[line].p99_ms:.1f}")
        for batched in (False, True):
            loads = [found.get(Line(THROUGHPUT, nodes, quorum, thrifty, batched)) for thrifty in (False, True)]
            row.append(" / ".join(f"{load.per_second:,.0f}" for load in loads if load is not None))
        thrifty = found[Line(THROUGHPUT, nodes, quorum, True, False)]
        row.append(f"{thrifty.behind_ms:,.0f}")
        rows.append(row)
    show(
        f"{nodes} nodes: quorums, failures that each phase survives, waits (median / p99, ms), operations a second (to all / thrifty), "
        "how far others are behind thrifty quorums after 2 s (one value a message, ms)",
        ("Q2", "Q1", "phase 2", "phase 1", "to all", "thrifty", "election", "one value", "batched", "behind"),
        rows,
    )


def _show_latencies(found: Found) -> None:
    rows = []
    for nodes in SIZES:
        lines = [Line(LATENCY, nodes, quorum) for quorum in range(1, nodes + 1)]
        off = max(abs((found[line].median_ms or 0.0) / computed(line)[0] - 1) for line in lines)
        medians = [f"{found[line].median_ms:.1f}" for line in lines]
        rows.append((str(nodes), *medians, *[""] * (max(SIZES) - nodes), f"{off:.1%}"))
    show(
        "Median latency by the quorum of phase 2, Accept to all, ms",
        ("N", *(f"Q2={quorum}" for quorum in range(1, max(SIZES) + 1)), "off computed"),
        rows,
    )


# Figures.


def latency_figure(found: Found) -> object:
    """Latency against the quorum of phase 2, for several N; and for one N, median and tail, thrifty and not."""
    sizes = _by_size(found, LATENCY)
    nodes = max(DRAWN)
    both: dict[str, charts.Points] = {}
    formulas: dict[str, charts.Points] = {}
    for thrifty, who in ((False, "to all"), (True, "thrifty")):
        lines = [Line(LATENCY, nodes, quorum, thrifty) for quorum in range(1, nodes + 1)]
        for place, name in enumerate((f"{who}, median", f"{who}, p99")):
            both[name] = [(line.quorum, (found[line].median_ms, found[line].p99_ms)[place] or 0.0) for line in lines]
            formulas[name] = [(line.quorum, computed(line)[place]) for line in lines]
    title = "Dots: measured. Dashed: order statistics of the delays."
    every = charts.curves(
        sizes[0], formulas=sizes[1], x="quorum of phase 2", y="median latency, ms", legend="nodes", dots=True, whole_x=True,
        title=title, x_domain=(0.7, 10.3),
    )  # fmt: skip
    tails = charts.curves(
        both, formulas=formulas, x="quorum of phase 2", y="latency, ms", legend=f"{nodes} nodes", dots=True, whole_x=True,
        title="Who asks no more nodes than it needs waits for the slowest of them", x_domain=(0.7, 10.3),
    )  # fmt: skip
    return charts.below(every, tails, title="Smaller quorums answer sooner; thrift gives much of that away")


def price_figure(found: Found) -> object:
    """Throughput against the quorum of phase 2; and how long an election takes."""
    loads: dict[str, charts.Points] = {}
    limits: dict[str, charts.Points] = {}
    for batched, how in ((True, "batched"), (False, "one value a message")):
        for thrifty, who in ((True, "thrifty"), (False, "to all")):
            lines = [Line(THROUGHPUT, BATCHED, quorum, thrifty, batched) for quorum in range(1, BATCHED + 1)]
            loads[f"{who}, {how}"] = [(line.quorum, found[line].per_second or 0.0) for line in lines]
            if not batched:
                limits[f"{who}, {how}"] = [
                    (line.quorum, capacity(line.quorum, BATCHED, thrifty, SERVICE_US)) for line in lines
                ]
    load = charts.curves(
        loads, formulas=limits, x="quorum of phase 2", y="operations a second", legend=f"{BATCHED} nodes", dots=True, whole_x=True,
        title=f"Each step takes {SERVICE_US} µs. Dots: measured. Dashed: what the leader must take in", x_domain=(0.7, 9.3),
    )  # fmt: skip
    elections = _by_size(found, PHASE_1)
    price = charts.curves(
        elections[0], formulas=elections[1], x="quorum of phase 2", y="median election, ms", legend="nodes", dots=True, whole_x=True,
        title="The price: phase 1 needs N+1-Q2 nodes, so an election waits for more, and survives less", x_domain=(0.7, 10.3),
    )  # fmt: skip
    return charts.below(
        load,
        price,
        title="A small quorum saves work only if the others are not asked, and batches leave little to save",
    )


def _by_size(found: Found, study: str) -> tuple[dict[str, charts.Points], dict[str, charts.Points]]:
    """Medians of a study, and what is computed, against the quorum of phase 2."""
    measured: dict[str, charts.Points] = {}
    formulas: dict[str, charts.Points] = {}
    for nodes in DRAWN:
        lines = [Line(study, nodes, quorum) for quorum in range(1, nodes + 1)]
        measured[str(nodes)] = [(line.quorum, found[line].median_ms or 0.0) for line in lines]
        formulas[str(nodes)] = [(line.quorum, computed(line)[0]) for line in lines]
    return measured, formulas
