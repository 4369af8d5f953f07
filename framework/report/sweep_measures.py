"""The measures of a sweep's runs, combination by combination."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.time import MILLISECOND, parse_duration
from framework.core.tracebacks import printable
from framework.sweep.rows import AxisType, standing

Column = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Measure:
    """A number that each run has. `lower_is_better` is None if neither is."""

    key: str
    label: str
    unit: str = ""
    lower_is_better: bool | None = None


MEASURES = (
    Measure("throughput_ops_s", "throughput", "operations/s", False),
    Measure("latency_p50_ms", "latency p50", "ms", True),
    Measure("latency_p99_ms", "latency p99", "ms", True),
    Measure("latency_p95_ms", "latency p95", "ms", True),
    Measure("latency_max_ms", "latency max", "ms", True),
    Measure("operations_ok", "operations ok", "operations", False),
    Measure("operations_fail", "operations failed", "operations", True),
    Measure("operations_unknown", "operations of unknown fate", "operations", True),
    Measure("messages", "messages delivered", "messages"),
    Measure("messages_per_operation", "messages per ok operation", "messages", True),
    Measure("dropped", "messages lost", "messages"),
    Measure("steps", "steps", "steps"),
    Measure("fsyncs", "fsyncs", "fsyncs"),
    Measure("crashes", "crashes", "crashes"),
    Measure("virtual_s", "time of the run", "s"),
    Measure("took_s", "time that the run took, with checks", "s"),
)
SHOWN_FIRST = 3
"""How many of the measures a page shows without being asked."""


@dataclass(frozen=True)
class ShownAxis:
    """A key that varies. `values` are in order, as text; `numbers` as numbers if all are, durations in milliseconds."""

    key: str
    values: tuple[str, ...]
    numbers: tuple[float, ...] | None
    unit: str = ""


@dataclass(frozen=True)
class SweepRows:
    """The rows of a sweep as columns of equal length.

    `places[key][row]` is the place of the row's value among the values of that axis, `combination[row]` the place of
    the row's combination among `combinations`, which are tuples of places. `standings` are verdicts, or statuses of
    runs without one. A measure is NaN for a run that has no value.
    """

    axes: tuple[ShownAxis, ...]
    combinations: tuple[tuple[int, ...], ...]
    combination: Column
    seeds: Column
    standings: tuple[str, ...]
    measures: Mapping[str, Column]

    def values(self, measure: str, combination: int) -> Column:
        """Returns the values of a measure in a combination, in ascending order, without runs that have none."""
        chosen = self.measures[measure][self.combination == combination]
        return np.sort(chosen[~np.isnan(chosen)])

    def label(self, combination: int) -> str:
        """Returns the name of a combination: `nodes=3, protocol=raft`; `all runs` if only the seed varies."""
        places = zip(self.axes, self.combinations[combination], strict=True)
        return ", ".join(f"{axis.key}={axis.values[place]}" for axis, place in places) or "all runs"


def sweep_rows(rows: pa.Table, axes: Mapping[str, AxisType], order: Mapping[str, Sequence[Any]]) -> SweepRows:
    """Returns the rows of a sweep by combination. `order` has the values of axes as the command line had them: text is
    in that order. Numbers and durations are in ascending order."""
    found, places = [], []
    for key, kind in axes.items():
        axis, place = _axis(key, kind, rows[key].to_pylist(), order.get(key, ()))
        found.append(axis)
        places.append(place)
    tuples = list(zip(*places, strict=True)) if places else [()] * len(rows)
    combinations = sorted(set(tuples))
    number = {combination: place for place, combination in enumerate(combinations)}
    standings = [
        standing(status, verdict)
        for status, verdict in zip(rows["status"].to_pylist(), rows["verdict"].to_pylist(), strict=True)
    ]
    return SweepRows(
        axes=tuple(found),
        combinations=tuple(combinations),
        combination=np.array([number[one] for one in tuples], dtype=np.int64),
        seeds=rows["seed"].to_numpy(),
        standings=tuple(map(printable, standings)),
        measures={measure.key: _measured(rows, measure.key) for measure in MEASURES},
    )


def _axis(key: str, kind: AxisType, column: Sequence[Any], order: Sequence[Any]) -> tuple[ShownAxis, list[int]]:
    """Returns the axis, and the place of each row's value on it."""
    distinct = set(column)
    numbers: dict[Any, float] | None = None
    unit = ""
    if kind in ("integer", "number") and None not in distinct:
        numbers = {value: float(value) for value in distinct}
    elif kind == "text" and distinct:
        numbers = _durations(distinct)
        unit = "ms" if numbers else ""
    first = {value: place for place, value in enumerate(order)}
    ordered = sorted(
        distinct, key=lambda value: (numbers[value] if numbers else first.get(value, len(first)), str(value))
    )
    place = {value: number for number, value in enumerate(ordered)}
    return (
        ShownAxis(
            printable(key),
            tuple(map(value_text, ordered)),
            tuple(numbers[value] for value in ordered) if numbers else None,
            unit,
        ),
        [place[value] for value in column],
    )


def _durations(values: set[Any]) -> dict[Any, float] | None:
    """Returns durations in milliseconds; None if one of the values is none."""
    try:
        return {value: parse_duration(value) / MILLISECOND for value in values}
    except (AttributeError, TypeError, ValueError):
        return None


def value_text(value: Any) -> str:
    """Returns a value on an axis as a person writes it."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))


def _measured(rows: pa.Table, key: str) -> Column:
    """Returns a measure of each row; NaN for one without a verdict or a value."""
    if key == "messages_per_operation":
        operations = _measured(rows, "operations_ok")
        return _measured(rows, "messages") / np.where(operations > 0, operations, np.nan)
    column = rows[key]
    if pa.types.is_map(column.type):
        column = pa.array([sum(count for _, count in counts or ()) for counts in column.to_pylist()], pa.int64())
    values = np.array(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    has_verdict = pc.equal(rows["status"], "ok").to_numpy(zero_copy_only=False).astype(bool)
    return np.where(has_verdict & np.isfinite(values), values, np.nan)
