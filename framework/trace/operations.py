"""Throughput and latency over the time of a run, and the distribution of latencies, from its history."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.time import MILLISECOND, SECOND
from framework.trace.columns import integers_of, names_of

MOST_BINS, FEWEST_BINS = 150, 10
PER_BIN = 4
"""The operations for which there is a bin, on average: fewer would be single spikes."""
READ = "read"
MOST_GROUPS = 4
CDF_POINTS = 160

_Array = np.ndarray[Any, Any]


def load_data(history: pa.Table, end: int, warmup: int = 0) -> dict[str, Any] | None:
    """Returns the operations by group over a run that lasted `end` nanoseconds; None if there are none. The
    distribution of latencies leaves out those that were due before `warmup`.

    Reads and writes are groups of their own; without reads, each of the most frequent functions is one. Latency counts
    from the time at which an operation was due, to its completion.
    """
    if not history.num_rows:
        return None
    groups, of = _grouped(names_of(history["function"]))
    binned = _Binned(history, end, MOST_BINS)
    is_ok, place, latency, bins = binned.is_ok, binned.place, binned.latency, len(binned.widths)
    told = []
    for number, name in enumerate(groups):
        ours = of == number
        good, bad = ours & is_ok, ours & ~is_ok
        told.append(
            {
                "name": name,
                "rate": _rounded(np.bincount(place[good], minlength=bins) / binned.widths),
                "unanswered": _rounded(np.bincount(place[bad], minlength=bins) / binned.widths),
                **_percentiles(place[good], latency[good], bins),
            }
        )
    return {
        "at": binned.middles(),
        "groups": told,
        "cdf": _distribution(groups, of, is_ok & (integers_of(history["scheduled"]) >= warmup), latency),
    }


def curve_data(history: pa.Table, most: int) -> dict[str, Any] | None:
    """Returns the throughput and the latencies of all operations together, in at most `most` bins up to the last
    completion; None if there are no operations."""
    if not history.num_rows:
        return None
    binned = _Binned(history, 0, most)
    good, bins = binned.is_ok, len(binned.widths)
    return {
        "at": binned.middles(),
        "rate": _rounded(np.bincount(binned.place[good], minlength=bins) / binned.widths, 3),
        **_percentiles(binned.place[good], binned.latency[good], bins),
    }


class _Binned:
    """Operations in intervals of time: those that succeeded where they completed, the others where they were invoked.

    `widths` of the intervals are in seconds, `latency` is in milliseconds.
    """

    def __init__(self, history: pa.Table, end: int, most: int) -> None:
        self.is_ok: _Array = names_of(history["outcome"]) == "ok"
        invoked = integers_of(history["invoked"])
        completed = integers_of(pc.coalesce(history["completed"], history["invoked"]))
        self.latency: _Array = (completed - integers_of(history["scheduled"])) / MILLISECOND
        end = max(end, int(completed.max()), 1)
        width = _bin_width(end, min(most, max(FEWEST_BINS, history.num_rows // PER_BIN)))
        bins = max(1, (end + width // 2) // width)  # the rest is part of the last, or is the last if it is half of one
        self.widths: _Array = np.full(bins, width / SECOND)
        self.widths[-1] = (end - (bins - 1) * width) / SECOND
        self.place: _Array = np.minimum(np.where(self.is_ok, completed, invoked) // width, bins - 1).astype(np.int64)

    def middles(self) -> list[float]:
        """Returns the middle of each interval, in seconds."""
        starts = np.arange(len(self.widths)) * self.widths[0]
        return _rounded(starts + self.widths / 2, 6)


def _grouped(functions: _Array) -> tuple[list[str], _Array]:
    """Returns the names of the groups, and the group of each operation."""
    counts = Counter(functions.tolist())
    if READ in counts and len(counts) > 1:
        return ["reads", "writes"], np.where(functions == READ, 0, 1)
    common = [name for name, _ in sorted(counts.items(), key=lambda it: (-it[1], it[0]))]
    named = common if len(common) <= MOST_GROUPS else common[: MOST_GROUPS - 1]
    places = {name: number for number, name in enumerate(named)}
    names = named if len(named) == len(common) else [*named, "others"]
    return names, np.array([places.get(name, len(named)) for name in functions.tolist()], dtype=np.int64)


def _bin_width(end: int, most: int) -> int:
    """Returns the smallest of 1, 2 and 5 times a power of ten milliseconds that gives at most `most` bins."""
    width = MILLISECOND
    while True:
        for digit in (1, 2, 5):
            if -(-end // (width * digit)) <= most:
                return width * digit
        width *= 10


def _percentiles(place: _Array, latency: _Array, bins: int) -> dict[str, list[float | None]]:
    """Returns the median and the 99th percentile of the latencies in each bin; None in one without any."""
    order = np.lexsort((latency, place))
    place, latency = place[order], latency[order]
    begins = np.searchsorted(place, np.arange(bins))
    counts = np.searchsorted(place, np.arange(bins), side="right") - begins
    found: dict[str, list[float | None]] = {}
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        ranks = begins + np.maximum(np.ceil(counts * share).astype(np.int64) - 1, 0)
        found[name] = [
            short(float(latency[rank])) if many else None
            for rank, many in zip(ranks.tolist(), counts.tolist(), strict=True)
        ]
    return found


def _distribution(groups: list[str], of: _Array, is_ok: _Array, latency: _Array) -> dict[str, Any]:
    """Returns for each group the share of operations that took at most as long as each of some latencies, from none to
    all."""
    by_group = [np.sort(latency[(of == number) & is_ok]) for number in range(len(groups))]
    known = [values for values in by_group if len(values)]
    if not known:
        return {"at": [], "groups": []}
    low, high = max(min(values[0] for values in known), 0.001), max(max(values[-1] for values in known), 0.001)
    at = np.concatenate([[low * 0.95], np.unique(np.geomspace(low, high, CDF_POINTS)), [high * 1.05]])
    at[-2] = high  # without the rounding of its logarithm
    shares = [
        {"name": name, "share": _rounded(np.searchsorted(values, at, side="right") / len(values))}
        for name, values in zip(groups, by_group, strict=True)
        if len(values)
    ]
    return {"at": _rounded(at, 5), "groups": shares}


def short(value: float, digits: int = 4) -> float:
    """Returns the number with `digits` significant digits."""
    return float(f"{value:.{digits}g}")


def _rounded(values: _Array, digits: int = 4) -> list[float]:
    return [short(value, digits) for value in values.tolist()]
