"""A run as a notebook shows it: the verdict, the main numbers, and throughput and latency over time, as HTML and
SVG."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from framework.core.errors import ConfigError
from framework.core.time import SECOND
from framework.core.tracebacks import printable
from framework.trace.operations import load_data

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 110, 64, 18
COLOURS = ("#2563eb", "#c2410c", "#047857", "#7c3aed")
VERDICTS = {"valid": "#15803d", "invalid": "#b91c1c", "unknown": "#a16207"}


def html_of(folder: Path, result_of: Callable[[], Mapping[str, Any]], history_of: Callable[[], pa.Table]) -> str:
    """Returns the HTML. What raises ConfigError when it is read is named in it."""
    try:
        result = result_of()
    except ConfigError as error:
        return _boxed(f"<b>{_text(folder)}</b>: no result: {_text(error)}")
    if not result:
        return _boxed(f"<b>{_text(folder)}</b>: no result: the run was cut off, or has not ended")
    verdict = str(result.get("verdict"))
    colour = VERDICTS.get(verdict, "#555")
    reasons = "; ".join(map(str, result.get("reasons") or ()))
    head = f'<b style="color:{colour}">{_text(verdict)}</b>{f" — {_text(reasons)}" if reasons else ""}'
    what = " · ".join(str(result.get(key, "")) for key in ("experiment", "engine")) + f" · seed {result.get('seed')}"
    try:
        load = load_data(history_of(), int(float(result.get("virtual_s") or 0) * SECOND))
    except ConfigError as error:
        return _boxed(head, _text(what), _numbers(result), _text(error))
    figures = [] if load is None else [_figure(load, "rate", "operations/s"), _figure(load, "p99", "p99, ms")]
    return _boxed(head, _text(what), _numbers(result), *figures)


def _boxed(*parts: str) -> str:
    return f'<div style="font-family:system-ui,sans-serif">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def _text(value: object) -> str:
    return html.escape(printable(str(value)))


def _numbers(result: Mapping[str, Any]) -> str:
    operations, latency = result.get("operations") or {}, result.get("latency_ms") or {}
    rows = {
        "operations": ", ".join(f"{outcome} {count:,}" for outcome, count in operations.items()),
        "throughput": f"{result.get('throughput_ops_s') or 0:,.0f}/s",
        "latency": ", ".join(f"{name} {value:.3g} ms" for name, value in latency.items() if value is not None),
        "faults": ", ".join(f"{name} {count:,}" for name, count in (result.get("faults") or {}).items()) or "none",
        "checks": ", ".join(f"{check['name']} {check['verdict']}" for check in result.get("checks") or ()),
    }
    cells = "".join(
        f'<tr><td style="text-align:left;opacity:.7">{name}</td><td style="text-align:left">{_text(value)}</td></tr>'
        for name, value in rows.items()
    )
    return f"<table>{cells}</table>"


def _figure(load: Mapping[str, Any], field: str, label: str) -> str:
    """Returns the lines of one number of each group over time."""
    groups, at = load["groups"], load["at"]
    top = max((value for group in groups for value in group[field] if value is not None), default=0) or 1
    end = at[-1] or 1
    lines = "".join(
        f'<path d="{_path(at, group[field], end, top)}" fill="none" stroke="{COLOURS[place % len(COLOURS)]}"'
        f' stroke-width="1.5" stroke-dasharray="{"" if place == 0 else 4 * place}"/>'
        for place, group in enumerate(groups)
    )
    legend = "".join(
        f'<tspan fill="{COLOURS[place % len(COLOURS)]}" dx="10">{"–" * (place + 1)} {_text(group["name"])}</tspan>'
        for place, group in enumerate(groups)
    )
    base = HEIGHT - BOTTOM
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img"'
        f' aria-label="{label} over time" style="font:11px system-ui,sans-serif;max-width:100%">'
        f'<text x="{LEFT}" y="10" fill="currentColor">{label}{legend}</text>'
        f'<text x="{LEFT - 6}" y="24" text-anchor="end" fill="currentColor">{top:,.4g}</text>'
        f'<text x="{LEFT - 6}" y="{base}" text-anchor="end" fill="currentColor">0</text>'
        f'<path d="M{LEFT} 16V{base}H{WIDTH}" fill="none" stroke="currentColor" stroke-opacity=".4"/>{lines}'
        f'<text x="{WIDTH}" y="{HEIGHT - 4}" text-anchor="end" fill="currentColor">{end:,.4g} s</text></svg>'
    )


def _path(at: Sequence[float], values: Sequence[float | None], end: float, top: float) -> str:
    """Returns the path of a line, interrupted where there is no value; a lone value is a dot."""
    height = HEIGHT - BOTTOM - 16
    steps: list[str] = []
    is_open = False
    for time, value in zip(at, values, strict=True):
        if value is None:
            is_open = False
            continue
        point = f"{LEFT + time / end * (WIDTH - LEFT):.1f} {16 + height * (1 - value / top):.1f}"
        steps.append(f"L{point}" if is_open else f"M{point}h1")
        is_open = True
    return "".join(steps)
