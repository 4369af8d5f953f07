"""Tables and figure of the balance of placements."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from experiments import charts
from experiments.placement_balance import measure
from experiments.placement_balance.measure import YARDSTICK, Measured, Speed
from experiments.placement_balance.strategies import STRATEGIES, deviation
from experiments.studies import show, write_rows

BARS = {
    YARDSTICK: 1.7, "jump": 2.0, "ring, 100": 2.5, "maglev, 65537": 1.0, "rendezvous": 6.0, "rendezvous, 32 bits": 3.0
}  # fmt: skip
"""Seconds of ten million look-ups with 100 nodes that placements are meant to stay below, on a machine on which the yardstick
takes as long as it says."""


def report(found: Sequence[Measured], speeds: Sequence[Speed], folder: Path) -> bool:
    """Prints tables, writes rows and figure into `folder`. Returns whether shares deviate as theory says."""
    write_rows(folder / "balance.csv", {
        field: [getattr(one, field) for one in found] for field in Measured._fields
    })  # fmt: skip
    sizes = sorted({one.nodes for one in found})
    for nodes in sizes:
        show(
            f"{nodes:,} nodes",
            ("", "deviation", "theory", "largest", "memory", "build", "one look-up", "many, a second"),
            [_row(name, nodes, found) for name in STRATEGIES if _of(name, nodes, found)],
        )
    if speeds:
        write_rows(folder / "speeds.csv", {
            field: [getattr(one, field) for one in speeds] for field in Speed._fields
        })  # fmt: skip
        _show_speeds(speeds)
    charts.save(figure(found, sizes), folder / "balance")
    return agrees(found)


def agrees(found: Sequence[Measured]) -> bool:
    """Returns whether shares deviate as theory says."""
    return all(_agrees(*line, _of(*line, found)) for line in dict.fromkeys((one.name, one.nodes) for one in found))


def _show_speeds(speeds: Sequence[Speed]) -> None:
    """Shows speeds beside the bars, which are scaled by how long the yardstick took."""
    scale = next(one.many_cpu for one in speeds if one.name == YARDSTICK) / BARS[YARDSTICK]
    show(
        f"100 nodes, medians in turns; bars times {scale:.2f}, as the yardstick takes {scale * BARS[YARDSTICK]:.2f} s",
        ("", "10 million at once, clock", "processor", "bar", "one look-up, processor"),
        [
            (
                one.name,
                *(f"{seconds:.2f} s" if seconds else "" for seconds in (one.many, one.many_cpu, BARS.get(one.name, 0) * scale)),
                f"{one.single:.2f} µs" if one.single else "",
            )
            for one in speeds
        ],
    )  # fmt: skip


def _of(name: str, nodes: int, found: Sequence[Measured]) -> list[Measured]:
    return [one for one in found if (one.name, one.nodes) == (name, nodes)]


def _row(name: str, nodes: int, found: Sequence[Measured]) -> tuple[str, ...]:
    those = _of(name, nodes, found)
    theory = deviation(name, nodes)
    return (
        name,
        f"{_mean(those):.1%}",
        "" if theory is None else f"{theory:.1%}",
        f"{statistics.mean(one.largest for one in those):.3f}",
        _bytes(statistics.mean(one.memory for one in those)),
        f"{statistics.median(one.build for one in those) * 1000:,.1f} ms",
        f"{statistics.median(one.single for one in those) * 1e6:,.1f} µs",
        f"{statistics.median(one.many for one in those) / 1e6:,.1f} M",
    )


def _mean(those: Sequence[Measured]) -> float:
    """Returns the root of the mean variance of shares."""
    return statistics.mean(one.deviation**2 for one in those) ** 0.5


def _bytes(number: float) -> str:
    for unit in ("B", "kB"):
        if number < 1000:
            return f"{number:,.0f} {unit}"
        number /= 1000
    return f"{number:,.1f} MB"


def _agrees(name: str, nodes: int, those: Sequence[Measured]) -> bool:
    """Returns whether the variance of shares is what theory says, give or take 4.5 standard errors: with s shares, √(2/s) of
    that variance, doubled for the heavy tails of few points or probes, and of the noise of the sample."""
    theory = deviation(name, nodes)
    if theory is None:
        return True
    variance = theory**2 * (2 if theory > 0.1 else 1) + nodes / measure.KEYS
    return abs(_mean(those) ** 2 - theory**2) <= 4.5 * variance * (2 / (nodes * len(those))) ** 0.5


def figure(found: Sequence[Measured], sizes: Sequence[int]) -> object:
    """The largest share against the number of nodes."""
    shown = {
        name: [
            (float(nodes), statistics.mean(one.largest for one in _of(name, nodes, found)))
            for nodes in sizes
            if _of(name, nodes, found)
        ]
        for name in ("ring, 10", "ring, 100", "ring, 1000", "bounded_load, c=1.25", "multi_probe, 21", "jump")
    }
    chart = charts.curves(
        shown, x="nodes", y="largest share, 1 is the average", legend="", log_x=True, dots=True,
        title="Of four million ids, of bounded_load's 200,000. Maglev and rendezvous are as jump, whose rise is the noise of the sample",
        x_domain=(10.0, float(max(sizes))), y_domain=(1.0, 2.5),
    )  # fmt: skip
    return charts.below(
        chart, title="With a thousand points a node a ring is as even as multi-probe; jump is even by itself"
    )
