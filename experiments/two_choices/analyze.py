"""From trials to tables and the figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from experiments import charts
from experiments.studies import show, write_rows
from experiments.two_choices.balls import Throws
from experiments.two_choices.queues import ALL, Queues, theory
from experiments.two_choices.runs import Served
from experiments.two_choices.settings import (
    AGES,
    BALANCERS,
    BALLS,
    LOADS,
    REPORTS,
    SERVICE_LOADS,
    STALE_LOAD,
)

NAMES = {1: "random", 2: "best of two", 3: "best of three", ALL: "least loaded of all"}
_WITHIN = 0.1
"""The share by which a mean may differ from that of the limit of many servers."""


def report(balls: Sequence[Throws], queues: Sequence[Queues], served: Sequence[Served], folder: Path) -> bool:
    """Prints the tables; writes rows and figure into `folder`. Returns whether the statements of the README hold."""
    maxima = counted(balls)
    mean = {(one.load, one.d, one.age): one.mean_time for one in queues}
    runs = {(one.load, one.words): one for one in served}
    show(
        "Balls in the fullest of n bins, percent of trials",
        ("n, choices", *(str(most) for most in range(2, 13))),
        [(f"{n}, {d}", *_percents(maxima[n, d], range(2, 13))) for n, d in BALLS],
    )
    show(
        "Mean time in the system, in service times, loads fresh: simulated (theory)",
        ("load", *(NAMES[d] for d in (1, 2, 3))),
        [(f"{load:g}", *(f"{mean[load, d, 0.0]:.3g} ({theory(load, d):.3g})" for d in (1, 2, 3))) for load in LOADS],
    )
    show(
        f"The same at a load of {STALE_LOAD:g}, if all servers report at once, every so many service times",
        ("age", *(NAMES[d] for d in (2, 3, ALL))),
        [(f"{age:g}", *(f"{mean[STALE_LOAD, d, age]:.3g}" for d in (2, 3, ALL))) for age in AGES],
    )
    highest = SERVICE_LOADS[-1]
    show(
        "The protocol, 20 servers: mean time at the server (99th percentile of the time before it), in service times",
        ("balancer", *(f"load {load:g}" for load in SERVICE_LOADS)),
        [
            (name, *(_cell(runs.get((load, words))) for load in SERVICE_LOADS))
            for name, words in (BALANCERS | REPORTS).items()
        ],
    )
    write_rows(folder / "queues.csv", {
        "load": [one.load for one in queues],
        "d": [one.d for one in queues],
        "age": [one.age for one in queues],
        "mean_time": [one.mean_time for one in queues],
    })  # fmt: skip
    charts.save(figure(queues, served), folder / "two_choices")
    return holds(maxima, queues) and runs[highest, BALANCERS["best of two"]].mean_time < 4


def counted(balls: Sequence[Throws]) -> dict[tuple[int, int], Counter[int]]:
    """Returns how often the fullest bin had so many balls, by (n, d)."""
    found: dict[tuple[int, int], Counter[int]] = {line: Counter() for line in BALLS}
    for one in balls:
        found[one.n, one.d].update(one.maxima)
    return found


def holds(maxima: dict[tuple[int, int], Counter[int]], queues: Sequence[Queues]) -> bool:
    """Returns whether two choices keep every bin at 4 or fewer, means with fresh loads are those of the theory, and old
    loads make the least loaded server of all a worse choice than one at random."""
    flat = all(max(maxima[line]) <= 4 < min(maxima[line[0], 1]) for line in BALLS if line[1] > 1)
    fresh = all(abs(one.mean_time / theory(one.load, one.d) - 1) < _WITHIN for one in queues if not one.age)
    herd = all(one.mean_time > theory(one.load, 1) for one in queues if one.d == ALL and one.age >= 5)
    return flat and fresh and herd


def _percents(found: Counter[int], columns: range) -> list[str]:
    total = found.total()
    return [f"{100 * found[most] / total:.1f}" if found[most] else "" for most in columns]


def _cell(one: Served | None) -> str:
    return "" if one is None else f"{one.mean_time:.2f} ({one.p99:.1f})"


def figure(queues: Sequence[Queues], served: Sequence[Served]) -> object:
    """The mean time in the system against the load, and against the age of what is known."""
    loads = [step / 200 for step in range(100, 199)]
    by_load = charts.curves(
        {NAMES[d]: [(one.load, one.mean_time) for one in queues if one.d == d and not one.age] for d in (1, 2, 3)},
        formulas={NAMES[d]: [(load, theory(load, d)) for load in loads] for d in (1, 2, 3)},
        x="load", y="mean time in the system, service times", legend="", dots=True, log_y=True,
        title="Loads fresh; 500 servers, at a load of 0.99 2,000. Dashed: theory, many servers", y_domain=(1.0, 130.0), x_domain=(0.48, 1.0),
    )  # fmt: skip
    ages = (AGES[0], AGES[-1])
    by_age = charts.curves(
        {
            "random": [(age, theory(STALE_LOAD, 1)) for age in ages],
            **{
                NAMES[d]: [(one.age, one.mean_time) for one in queues if one.d == d and one.age]
                for d in (2, 3, ALL)
            },
        },
        x="time between two reports, service times", y="mean time in the system, service times", legend="", dots=True,
        log_x=True, log_y=True, title=f"Load {STALE_LOAD:g}: loads are known as of the last report of all servers",
        x_domain=(0.4, 25.0), y_domain=(2.0, 200.0),
    )  # fmt: skip
    return charts.below(
        by_load, by_age, title="A second choice shortens queues exponentially, unless it rests on old loads"
    )
