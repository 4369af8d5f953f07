"""The rows of a sweep: the outcome of each point, as lines of the journal and as columns of Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from framework.runs.result import RunResult
from framework.sweep.axes import Axis, AxisValue, Choices, canonical

RowStatus = Literal["ok", "failed", "timeout", "memory", "died"]
"""ok: the run has ended and has a verdict. Otherwise it has none: it raised, took too long or too much memory, or its
process ended."""

AxisType = Literal["integer", "number", "boolean", "text"]

POINT_DIGITS, CODE_DIGITS = 20, 12
"""The lengths of a key's parts in hexadecimal digits: the point, and the code."""

_MAPS = ("messages", "dropped", "duplicated", "notes", "strikes", "sometimes")


class PointOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of one run. Durations are in seconds, latencies in milliseconds.

    `reason` is the first reason against `valid`, or why there is no verdict. `digest` is that of the history, in the
    simulator. `strikes` counts the actions of faults by kind: `crash`, `partition bridge`. `config` is the hash of the
    composed config without its seed. `kept` is the run's folder within the sweep's, "" if there is none.
    """

    status: RowStatus = "ok"
    verdict: str | None = None
    reason: str = ""
    traceback: str = ""
    digest: str | None = None
    config: str = ""
    versions: dict[str, str] = {}
    experiment: str = ""
    engine: str = ""
    operations_ok: int = 0
    operations_fail: int = 0
    operations_unknown: int = 0
    throughput_ops_s: float = 0.0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None
    latency_max_ms: float | None = None
    steps: int = 0
    fsyncs: int = 0
    crashes: int = 0
    virtual_s: float = 0.0
    wall_s: float = 0.0
    took_s: float = 0.0
    machine: str = ""
    kept: str = ""
    messages: dict[str, int] = {}
    dropped: dict[str, int] = {}
    duplicated: dict[str, int] = {}
    notes: dict[str, int] = {}
    strikes: dict[str, int] = {}
    sometimes: dict[str, int] = {}


class SweepRow(msgspec.Struct, frozen=True):
    """A line of the journal: the point, the code, and the outcome of the run. `axes` maps each axis to its value.

    `attempt` counts how often the point was run again to replace its row.
    """

    key: str
    seed: int
    axes: dict[str, Any]
    code: str
    outcome: PointOutcome
    attempt: int = 0


def outcome_of(result: RunResult, *, config: str, took_s: float, machine: str) -> PointOutcome:
    """Returns the outcome of a run that has ended."""
    return PointOutcome(
        verdict=str(result.verdict),
        reason=" ".join(result.reasons[0].split()) if result.reasons else "",
        digest=result.digest,
        config=config,
        versions=result.versions,
        experiment=result.experiment,
        engine=result.engine,
        operations_ok=result.operations["ok"],
        operations_fail=result.operations["fail"],
        operations_unknown=result.operations["unknown"],
        throughput_ops_s=result.throughput_ops_s,
        **{f"latency_{name}_ms": value for name, value in result.latency_ms.items()},  # type: ignore[arg-type]
        steps=result.steps,
        fsyncs=result.fsyncs,
        crashes=len(result.crashes),
        virtual_s=result.virtual_s,
        wall_s=result.wall_s,
        took_s=round(took_s, 4),
        machine=machine,
        messages=result.messages,
        dropped=result.dropped,
        duplicated=result.duplicated,
        notes=result.notes,
        strikes=strikes(result),
        sometimes=result.sometimes,
    )


def strikes(result: RunResult) -> dict[str, int]:
    """Returns the strikes by kind and, if the ledger has it, by variant: `partition bridge`, `disk full`."""
    counts: dict[str, int] = {}
    for entry in result.ledger:
        kind = entry["fault"].rpartition("/")[2]
        words = [detail.split(": ") for detail in entry.get("details", ())]
        names = [f"{kind} {parts[1]}" if len(parts) == 3 else kind for parts in words]
        for name, count in (*((name, 1) for name in names), (kind, entry["fired"] - len(words))):
            if count > 0:
                counts[name] = counts.get(name, 0) + count
    return dict(sorted(counts.items()))


def axis_type(axis: Axis) -> AxisType:
    """Returns the type of an axis's column."""
    if not isinstance(axis, Choices):
        if axis.unit:
            return "text"
        return "integer" if isinstance(axis.start, int) and isinstance(axis.end, int) else "number"
    kinds = {int} if isinstance(axis.values, range) else {type(value) for value in axis.values}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "integer" if all(-(2**63) <= value < 2**63 for value in (min(axis.values), max(axis.values))) else "text"
    return "number" if kinds <= {int, float} else "text"


_ARROW: Mapping[AxisType, pa.DataType] = {
    "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "text": pa.string(),
}  # fmt: skip


def column_value(value: AxisValue, kind: AxisType) -> Any:
    """Returns a value on an axis in the form of its column."""
    if kind == "text":
        return value if isinstance(value, str) or value is None else canonical(value)
    return float(value) if kind == "number" else value


def standing(status: str, verdict: str | None) -> str:
    """Returns the verdict of a row's run, or its status if it has no verdict."""
    return str(verdict) if status == "ok" else status


def schema(axes: Mapping[str, AxisType]) -> pa.Schema:
    """Returns the columns of a sweep's rows: key and seed, one for each axis, then the outcome of the run.

    An axis `experiment` or `engine` replaces the outcome's column of that name.
    """
    fields = [pa.field("key", pa.string(), nullable=False), pa.field("seed", pa.int64(), nullable=False)]
    fields += [pa.field(key, _ARROW[kind]) for key, kind in axes.items()]
    fields += [pa.field("code", pa.string(), nullable=False), pa.field("attempt", pa.int64(), nullable=False)]
    fields += [field for field in _outcome_fields() if field.name not in axes]
    return pa.schema(fields)


def table_of(rows: Sequence[SweepRow], axes: Mapping[str, AxisType]) -> pa.Table:
    """Returns the rows as Arrow, with the columns of `schema(axes)`."""
    columns: dict[str, Iterable[Any]] = {
        "key": [row.key for row in rows],
        "seed": [row.seed for row in rows],
        "code": [row.code for row in rows],
        "attempt": [row.attempt for row in rows],
    }
    wanted = schema(axes)
    for name in wanted.names:
        if name not in columns and name not in axes:
            columns[name] = [_cell(row.outcome, name) for row in rows]
    for key, kind in axes.items():
        columns[key] = [column_value(row.axes[key], kind) for row in rows]
    return pa.table({name: pa.array(columns[name], wanted.field(name).type) for name in wanted.names}, schema=wanted)


def that_count(rows: pa.Table, code: str, *, any_code: bool) -> pa.Table:
    """Returns the rows that count: those of this code.

    With `any_code`, one row for each point: that of this code if there is one, else the last.
    """
    if not any_code:
        return rows.filter(pc.equal(rows["code"], code))
    keys, codes = [key[:POINT_DIGITS] for key in rows["key"].to_pylist()], rows["code"].to_pylist()
    places = sorted(range(len(keys)), key=lambda place: codes[place] == code)  # stable: this code's come last
    return rows.take(pa.array(sorted({keys[place]: place for place in places}.values()), pa.int64()))


def _cell(outcome: PointOutcome, name: str) -> Any:
    value = getattr(outcome, name)
    return list(value.items()) if isinstance(value, dict) else value


@cache
def _outcome_fields() -> tuple[pa.Field, ...]:
    return tuple(_field(name) for name in PointOutcome.__struct_fields__)


def _field(name: str) -> pa.Field:
    if name in _MAPS:
        return pa.field(name, pa.map_(pa.string(), pa.int64()))
    if name == "versions":
        return pa.field(name, pa.map_(pa.string(), pa.string()))
    kind = PointOutcome.__annotations__[name]
    if kind.startswith("int"):
        return pa.field(name, pa.int64())
    return pa.field(name, pa.float64() if kind.startswith("float") else pa.string())
