"""Figures of a run for notebooks and papers, as Altair charts. Altair is an optional extra."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from framework.core.errors import ConfigError, did_you_mean
from framework.trace.operations import load_data

_Load = Mapping[str, Any]


def figure_of(folder: Path, history: pa.Table, name: str) -> Any:
    """Returns the chart `name` of a run's history, an `altair.Chart`.

    Raises ConfigError for an unknown name, without altair, or if the run has no history.
    """
    if name not in FIGURES:
        raise ConfigError(f"figure({name!r})", "there is no such figure", did_you_mean(name, FIGURES))
    try:
        import altair
    except ImportError as error:
        raise ConfigError(f"figure({name!r})", "needs altair", "Install it: pip install 'synod[studies]'.") from error
    load = load_data(history, 0)
    if load is None:
        raise ConfigError(str(folder), "has no operations to show", "Take the run with trace=full or history.")
    return FIGURES[name](altair, load)


def _throughput(altair: Any, load: _Load) -> Any:
    rows = [
        {"seconds": at, "operations/s": value, "operations": group["name"]}
        for group in load["groups"]
        for at, value in zip(load["at"], group["rate"], strict=True)
    ]
    return _lines(altair, rows, "seconds", "operations/s", altair.Scale())


def _latency(altair: Any, load: _Load) -> Any:
    rows = [
        {"seconds": at, "ms": value, "operations": f"{group['name']} {percentile}"}
        for group in load["groups"]
        for percentile in ("p50", "p99")
        for at, value in zip(load["at"], group[percentile], strict=True)
        if value is not None
    ]
    return _lines(altair, rows, "seconds", "ms", altair.Scale(type="log"))


def _distribution(altair: Any, load: _Load) -> Any:
    rows = [
        {"ms": at, "share": share, "operations": group["name"]}
        for group in load["cdf"]["groups"]
        for at, share in zip(load["cdf"]["at"], group["share"], strict=True)
    ]
    return _lines(altair, rows, "ms", "share", altair.Scale(domain=[0, 1]), altair.Scale(type="log"))


def _lines(altair: Any, rows: list[dict[str, Any]], x: str, y: str, scale: Any, across: Any = None) -> Any:
    return (
        altair.Chart(altair.Data(values=rows))
        .mark_line()
        .encode(
            x=altair.X(f"{x}:Q", scale=across or altair.Scale()),
            y=altair.Y(f"{y}:Q", scale=scale),
            color=altair.Color("operations:N", title=None),
            strokeDash=altair.StrokeDash("operations:N", title=None),
        )
        .properties(width=600, height=220)
    )


FIGURES: dict[str, Callable[[Any, _Load], Any]] = {
    "throughput": _throughput,
    "latency": _latency,
    "latency_distribution": _distribution,
}
"""The figures by name."""
