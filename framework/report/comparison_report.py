"""The comparison of two sweeps: what changed in each measure, combination by combination, and how sure that is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from framework.core.errors import ConfigError
from framework.core.tracebacks import printable
from framework.report.document import write_page
from framework.report.run_list import fixed_settings
from framework.report.sweep_measures import MEASURES, SHOWN_FIRST, Column, Measure, SweepRows, sweep_rows
from framework.report.sweep_report import STANDINGS, Commands
from framework.sweep.reader import Sweep, open_sweep
from framework.trace.operations import short

COMPARISON = "comparison.html"
RESAMPLES = 10_000
FEWEST = 5
"""The fewest runs of a combination, in each of both sweeps, for which an interval is given."""
CONFIDENCE = 0.95
METHOD = (
    f"Medians are of the runs that have a value, at least {FEWEST} in each sweep. The {CONFIDENCE:.0%} interval of the"
    f" difference of medians is a percentile bootstrap: {RESAMPLES:,} times the runs of each sweep are drawn again with"
    " replacement, independently of each other, from a generator with a fixed seed. Where no run differs from another,"
    " neither does a draw: the interval is then a single value. Of many intervals, one in twenty excludes zero by"
    " chance."
)


@dataclass(frozen=True)
class MedianDifference:
    """A measure of one combination in both sweeps: `low` to `high` is the interval of the difference of the medians,
    second minus first; None if there are too few runs."""

    runs: tuple[int, int]
    medians: tuple[float | None, float | None]
    low: float | None = None
    high: float | None = None

    @property
    def difference(self) -> float | None:
        first, second = self.medians
        return None if first is None or second is None else second - first

    def words(self, measure: Measure) -> str:
        """Returns what the interval says: that the second sweep is higher or lower, or that neither is shown."""
        if self.low is None or self.high is None:
            return "no value" if None in self.medians else f"too few runs: {self.runs[0]} and {self.runs[1]}"
        if self.low == self.high == 0:
            return "the same"
        if self.low <= 0 <= self.high:
            return "no difference shown: the interval includes zero"
        is_higher = self.low > 0
        told = f"{'higher' if is_higher else 'lower'}: the interval excludes zero"
        if measure.lower_is_better is None:
            return told
        return f"{told}, {'worse' if is_higher == measure.lower_is_better else 'better'}"


def write_comparison(first: Path, second: Path, target: Path | None = None) -> Path:
    """Writes the comparison of two sweeps and returns its path: `target`, or comparison.html in the second one's
    folder.

    Raises ConfigError if one is no sweep, they vary different keys or share no combination, or it cannot be written.
    """
    data = comparison_data(open_sweep(first), open_sweep(second))
    path = second / COMPARISON if target is None else target
    write_page(path, data["title"], "comparison.js", data)
    return path


def comparison_data(first: Sweep, second: Sweep) -> dict[str, Any]:
    """Returns the data of the page: JSON values. Raises ConfigError as `write_comparison` does."""
    _check_alike(first, second)
    sides = [_rows(sweep, list(first.head.axes)) for sweep in (first, second)]
    shared = _shared(*sides)
    if not shared:
        where = f"{first.folder} and {second.folder}"
        raise ConfigError(where, "have no combination in common", "Compare sweeps over the same values.")
    names = _names(first.folder, second.folder)
    settings = [fixed_settings(sweep.head) for sweep in (first, second)]
    keys = sorted({*settings[0], *settings[1]})
    return {
        "title": f"{names[1]} compared with {names[0]}",
        "names": names,
        "folders": [printable(str(sweep.folder)) for sweep in (first, second)],
        "codes": [sweep.head.code for sweep in (first, second)],
        "settings": [
            {"key": key, "values": [one.get(key) for one in settings]}
            for key in keys
            if settings[0].get(key) != settings[1].get(key)
        ],
        "counts": [_counts(side) for side in sides],
        "standings": [name for name in STANDINGS if any(name in side.standings for side in sides)],
        "only": [len(side.combinations) - len(shared) for side in sides],
        "combinations": [
            {
                "label": label,
                "counts": [_counts(side, place) for side, place in zip(sides, places, strict=True)],
            }
            for label, places in shared
        ],
        "measures": [_measure_data(measure, number, sides, shared) for number, measure in enumerate(MEASURES)],
        "shown": [measure.key for measure in MEASURES[:SHOWN_FIRST]],
        "method": METHOD,
        "made": f"Synod · written {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}",
    }


def _check_alike(first: Sweep, second: Sweep) -> None:
    one, other = set(first.head.axes), set(second.head.axes)
    if one != other:
        only = [
            f"only {sweep.folder} varies {', '.join(sorted(keys))}"
            for sweep, keys in ((first, one - other), (second, other - one))
            if keys
        ]
        where = f"{first.folder} and {second.folder}"
        raise ConfigError(where, f"vary different keys: {'; '.join(only)}", "Compare sweeps over the same keys.")


def _rows(sweep: Sweep, keys: Sequence[str]) -> SweepRows:
    return sweep_rows(sweep.rows, {key: sweep.head.axes[key] for key in keys}, Commands(sweep).order())


def _shared(first: SweepRows, second: SweepRows) -> list[tuple[str, tuple[int, int]]]:
    """Returns the label of each combination in both sweeps, and its places in them, in the order of the first."""
    places = {second.label(place): place for place in range(len(second.combinations))}
    labels = [first.label(place) for place in range(len(first.combinations))]
    return [(label, (place, places[label])) for place, label in enumerate(labels) if label in places]


def _names(first: Path, second: Path) -> list[str]:
    """Returns short names of both sweeps that differ."""
    names = [printable(path.resolve().name) for path in (first, second)]
    return names if names[0] != names[1] else [printable(str(first)), printable(str(second))]


def _counts(side: SweepRows, combination: int | None = None) -> dict[str, int]:
    counts = Counter(
        name
        for name, place in zip(side.standings, side.combination.tolist(), strict=True)
        if combination is None or place == combination
    )
    return {name: counts[name] for name in STANDINGS if counts[name]}


def _measure_data(
    measure: Measure, number: int, sides: Sequence[SweepRows], shared: Sequence[tuple[str, tuple[int, int]]]
) -> dict[str, Any]:
    rows = []
    for place, (_, places) in enumerate(shared):
        values = [side.values(measure.key, combination) for side, combination in zip(sides, places, strict=True)]
        found = difference(values[0], values[1], np.random.default_rng([number, place]))
        rows.append(
            {
                "runs": found.runs,
                "medians": [_short(value) for value in found.medians],
                "difference": _short(found.difference),
                "low": _short(found.low),
                "high": _short(found.high),
                "words": found.words(measure),
            }
        )
    return {"key": measure.key, "label": measure.label, "unit": measure.unit, "rows": rows}


def difference(first: Column, second: Column, rng: np.random.Generator) -> MedianDifference:
    """Compares the medians of two samples in ascending order."""
    runs = (len(first), len(second))
    medians = tuple(float(np.median(values)) if len(values) else None for values in (first, second))
    if min(runs) < FEWEST:
        return MedianDifference(runs, (medians[0], medians[1]))
    resampled = resampled_medians(second, rng) - resampled_medians(first, rng)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail]).tolist()
    return MedianDifference(runs, (medians[0], medians[1]), low, high)


def resampled_medians(values: Column, rng: np.random.Generator, resamples: int = RESAMPLES) -> Column:
    """Returns the medians of `resamples` samples drawn with replacement from `values`, which are in ascending order.

    Draws only the ranks in the middle of each sample: that of the k-th smallest of n draws is floor(n·U), where U has
    the distribution Beta(k, n - k + 1); given U, the next one's is U + (1 - U)·V with V from Beta(1, n - k) (David and
    Nagaraja, Order Statistics, 3rd edition, sections 2.2 and 2.5).
    """
    number = len(values)
    middle = (number + 1) // 2
    share = rng.beta(middle, number - middle + 1, resamples)
    lower = values[_ranks(share, number)]
    if number % 2:
        return lower
    share = share + (1 - share) * rng.beta(1, number - middle, resamples)
    return (lower + values[_ranks(share, number)]) / 2


def _ranks(share: Column, number: int) -> Column:
    return np.minimum((share * number).astype(np.int64), number - 1)


def _short(value: float | None) -> float | None:
    return None if value is None else short(value, 5)
