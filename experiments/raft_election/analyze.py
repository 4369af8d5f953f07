"""From trials to tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from experiments import charts
from experiments.raft_election.formulas import first_timeout, later_than, split_probability
from experiments.raft_election.lines import (
    AT_ONCE,
    CRASH,
    FAILED,
    HORIZON,
    RANGES_MS,
    SHARES,
    SHORTER,
    SPLIT,
    STRICT,
    WAN,
    Outcome,
)
from experiments.studies import show, write_rows

PAPER = {
    "150–150 ms": "over 10 s",
    "150–155 ms": "median 287 ms",
    "150–200 ms": "longest 513 ms",
    "12–24 ms": "mean 35, longest 152 ms",
}
"""What the paper's text gives of its Figure 16."""

NEVER = f"> {HORIZON} s"

Trials = Mapping[tuple[str, str], Sequence[Outcome]]
"""By study and line."""


@dataclass(frozen=True)
class Summary:
    """Times of one line, in milliseconds; infinite where no leader was found within the horizon."""

    trials: int
    least: float
    median: float
    mean: float
    p99: float
    p999: float
    most: float
    terms: float
    unfinished: int

    @classmethod
    def of(cls, times_ms: Sequence[float | None], outcomes: Sequence[Outcome]) -> Summary:
        times = np.sort(np.array([np.inf if time is None else time for time in times_ms]))
        low, median, p99, p999, high = np.quantile(times, (0, 0.5, 0.99, 0.999, 1), method="higher")
        return cls(
            len(times), low, median, float(times.mean()), p99, p999, high,
            terms=float(np.mean([one.terms for one in outcomes])),
            unfinished=int(np.isinf(times).sum()),
        )  # fmt: skip


def report(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Prints the tables; writes them, the trials and the figures into `folder`."""
    trials: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        trials.setdefault((one.study, one.line), []).append(one)
    write_rows(folder / "trials.arrow", {name: [getattr(one, name) for one in outcomes] for name in Outcome._fields})
    _write_summaries(trials, folder)
    _show_crash(trials)
    _show_readings(trials)
    _show_wide_area(trials)
    _show_splits(trials)
    charts.save(crash_figure(trials), folder / "crash")
    charts.save(wide_area_figure(trials), folder / "wide_area")
    charts.save(split_figure(trials), folder / "split_votes")


def summarise(trials: Trials, study: str, line: str) -> Summary:
    """After a crash the clock stops when the others have heard; in a wide area when the leader has its majority."""
    ours = trials[study, line]
    return Summary.of([one.elected_ms if study in (WAN, SPLIT) else one.heard_ms for one in ours], ours)


def splits(trials: Trials, share: float) -> tuple[float, float]:
    """How often the first term found no leader, and the standard error of that."""
    ours = trials[SPLIT, f"{share:g}"]
    split = sum(one.terms > 1 for one in ours) / len(ours)
    return split, sqrt(split * (1 - split) / len(ours))


# Tables.


def _write_summaries(trials: Trials, folder: Path) -> None:
    summaries = {place: summarise(trials, *place) for place in trials}
    columns: dict[str, list[object]] = {
        "study": [study for study, _ in summaries],
        "line": [line for _, line in summaries],
    }
    for name in ("trials", "least", "median", "mean", "p99", "p999", "most", "terms", "unfinished"):
        unit = "" if name in ("trials", "terms", "unfinished") else "_ms"
        columns[name + unit] = [_plain(getattr(summary, name)) for summary in summaries.values()]
    write_rows(folder / "summary.csv", columns)


def _show_crash(trials: Trials) -> None:
    rows = []
    for low, high in RANGES_MS:
        line = f"{low}–{high} ms"
        summary = summarise(trials, CRASH, line)
        times = map(_time, (summary.least, summary.median, summary.mean, summary.p99, summary.most))
        rows.append((line, *times, f"{summary.terms:.1f}", f"{summary.unfinished:,}", PAPER.get(line, "")))
    show(
        "From the leader's crash until all have heard the next one, ms",
        ("time-outs", "least", "median", "mean", "p99", "longest", "terms", f"none in {HORIZON} s", "the paper"),
        rows,
    )


def _show_readings(trials: Trials) -> None:
    names = [f"{low}–{high} ms" for low, high in RANGES_MS]
    headings = {CRASH: "two writes within it", AT_ONCE: AT_ONCE, STRICT: STRICT}
    counted = (f"{heading} ({len(trials[study, names[0]]):,})" for study, heading in headings.items())
    show("Three readings of a broadcast time of 15 ms (trials a line): median / mean / longest, ms",
         ("time-outs", *counted, "the paper"),
         [(line, *(_short(summarise(trials, study, line)) for study in headings), PAPER.get(line, "")) for line in names])  # fmt: skip
    shorter = [line for study, line in trials if study == SHORTER]
    show("A shorter broadcast time, two writes within it: median / mean / longest, ms",
         ("time-outs, broadcast", "", "the paper"),
         [(line, _short(summarise(trials, SHORTER, line)), PAPER.get(line.partition(",")[0], "")) for line in shorter])  # fmt: skip


def _show_wide_area(trials: Trials) -> None:
    rows = []
    for failed in FAILED:
        line = f"{failed} of 5 down"
        summary = summarise(trials, WAN, line)
        once = [one.elected_ms for one in trials[WAN, line] if one.terms == 1 and one.elected_ms is not None]
        rows.append((
            line, *map(_time, (summary.least, summary.median, summary.mean, summary.p99, summary.p999, summary.most)),
            f"{sum(one.terms == 1 for one in trials[WAN, line]) / summary.trials:.1%}", _time(float(np.mean(once))),
            _time(first_timeout(5 - failed, 300, 600) + 70),
        ))  # fmt: skip
    show(
        "Time-outs of 300–600 ms, 30–40 ms one way: from the start until a leader is elected, ms",
        ("servers", "least", "median", "mean", "p99", "p99.9", "longest", "in one term", "their mean", "by arithmetic"),
        rows,
    )


def _show_splits(trials: Trials) -> None:
    rows = []
    for share in SHARES:
        split, error = splits(trials, share)
        formula = split_probability(5, 4, share)
        summary = summarise(trials, SPLIT, f"{share:g}")
        rows.append(
            (
                f"{share:g}",
                f"{formula:.2%}",
                f"{split:.2%}",
                f"±{error:.2%}",
                f"{1 / (1 - formula):.3f}",
                f"{summary.terms:.3f}",
            )
        )
    show("Split votes, one way as a share of the range; four of five servers",
         ("one way", "formula", "measured", "s.e.", "terms, geometric", "measured"), rows)  # fmt: skip


def _plain(value: float) -> float | None:
    return None if value == float("inf") else round(float(value), 4)


def _time(value: float) -> str:
    return NEVER if value == float("inf") else f"{value:,.0f}"


def _short(summary: Summary) -> str:
    return " / ".join(map(_time, (summary.median, summary.mean, summary.most)))


# Figures.


def crash_figure(trials: Trials) -> Any:
    """The two panels of Figure 16."""
    times = {line: charts.cdf(one.heard_ms for one in ours) for (study, line), ours in trials.items() if study == CRASH}
    names = [f"{low}–{high} ms" for low, high in RANGES_MS]
    panel = partial(
        charts.curves, x="time without a leader, ms", y="elections that are over", legend="election time-outs",
        log_x=True, percent=True, y_domain=(0.0, 1.0), steps=True,
    )  # fmt: skip
    none, some = (summarise(trials, CRASH, line) for line in ("150–150 ms", "150–200 ms"))
    random = panel(
        {name: times[name] for name in names[:6]}, x_domain=(70, 1000 * HORIZON),
        title=f"More randomness (150–150 ms: {none.unfinished:,} of {none.trials:,} without a leader after {HORIZON} s)",
    )  # fmt: skip
    small = panel({name: times[name] for name in names[:4:-1]}, x_domain=(15, 2000), title="Smaller time-outs")
    longest = NEVER if some.unfinished else f"{_time(some.most)} ms"
    title = f"50 ms of randomness: elections take {longest} at most. Time-outs near the broadcast time do not pay"
    return charts.below(random, small, title=title)


def wide_area_figure(trials: Trials) -> Any:
    """How long servers far apart take."""
    lines = [f"{failed} of 5 down" for failed in FAILED]
    chart = charts.curves(
        {line: charts.cdf(one.elected_ms for one in trials[WAN, line]) for line in lines},
        x="time until a leader is elected, ms", y="elections that are over", title="", legend="servers",
        log_x=True, percent=True, x_domain=(200, 5000), y_domain=(0.0, 1.0), steps=True,
    )  # fmt: skip
    none, one, two = (_time(summarise(trials, WAN, line).mean) for line in lines)
    title = f"30–40 ms apart, a leader comes on average in {none} ms; with one of five down in {one}, with two in {two}"
    return charts.below(chart + charts.rule(360, "not sooner"), title=title)


def split_figure(trials: Trials) -> Any:
    """The split-vote formula, and the geometric law, each beside what was measured."""
    name = "four of five servers"
    fine = [step / 200 for step in range(1, 101)]
    chances = charts.curves(
        {name: [(share, splits(trials, share)[0]) for share in SHARES]},
        formulas={name: [(share, split_probability(5, 4, share)) for share in fine]},
        x="one-way delay as a share of the range of time-outs", y="first term without a leader",
        title="Dots: measured. Dashed: the thesis's formula", legend="", percent=True, dots=True, x_domain=(0.0, 0.52),
    )  # fmt: skip
    tails = {f"{share:g}": _tail([one.terms for one in trials[SPLIT, f"{share:g}"]]) for share in (0.1, 0.2, 0.3, 0.5)}
    laws = {
        f"{share:g}": [(terms, later_than(terms, split_probability(5, 4, share))) for terms in range(len(tails[f"{share:g}"]) + 1)]
        for share in (0.1, 0.2, 0.3, 0.5)
    }  # fmt: skip
    terms = charts.curves(
        tails, formulas=laws, x="terms", y="elections that take more terms", legend="one way / range", log_y=True, percent=True, dots=True, whole_x=True,
        title="Dots: measured. Dashed: geometric law, from the formula", y_domain=(1e-4, 1.0),
    )  # fmt: skip
    return charts.below(
        chances,
        terms,
        title="The split-vote formula holds; later terms split less often than the first, and no number bounds them",
    )


def _tail(terms: Sequence[int]) -> charts.Points:
    """How many elections took more than k terms, for k from 0 until none did."""
    counts = np.bincount(terms)
    more = (len(terms) - np.cumsum(counts)) / len(terms)
    return [(number, float(share)) for number, share in enumerate(more) if share > 0]
