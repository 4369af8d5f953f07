"""The look of all figures, and the few kinds of chart that studies draw. Nothing is fetched when one is rendered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log10
from pathlib import Path
from typing import Any, TypeAlias

import altair as alt
import numpy as np

Points: TypeAlias = Sequence[tuple[float, float]]
"""(x, y)"""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
"""Okabe and Ito's: they stay apart for colour-blind readers."""

WIDTH, HEIGHT = 560, 280
_POINTS_PER_CURVE = 400
_FONT = "DejaVu Sans, Verdana, sans-serif"


def cdf(samples: Iterable[float | None]) -> Points:
    """The empirical distribution, thinned to what a figure can show; None is an outcome beyond all others."""
    found = list(samples)
    known = np.sort(np.array([value for value in found if value is not None], dtype=float))
    if not len(known):
        return []
    steps = np.unique(np.linspace(0, len(known) - 1, _POINTS_PER_CURVE).round().astype(int))
    return [(float(known[step]), (int(step) + 1) / len(found)) for step in steps]


def curves(
    series: Mapping[str, Points],
    *,
    x: str,
    y: str,
    title: str,
    legend: str,
    log_x: bool = False,
    log_y: bool = False,
    x_domain: tuple[float, float] | None = None,
    y_domain: tuple[float, float] | None = None,
    percent: bool = False,
    steps: bool = False,
    dots: bool = False,
    whole_x: bool = False,
    formulas: Mapping[str, Points] | None = None,
) -> Any:
    """One line a series, in the order given; a formula of the same name is dashed, in the same colour.

    `x` and `y` are the axes' titles, with units. `dots` marks what was measured by points, joined if there is no
    formula. `whole_x`: nothing lies between whole numbers.
    """
    names = list(dict.fromkeys([*series, *(formulas or {})]))
    colour = alt.Color(
        "series:N",
        scale=alt.Scale(domain=names, range=list(COLOURS[: len(names)])),
        legend=_legend(legend, dots) if len(names) > 1 else None,
    )
    encoding = {
        "x": alt.X(
            "x:Q", title=x, scale=_scale(log_x, x_domain), axis=_axis(log_x, x_domain, (1, 2, 5), ",~r", whole_x)
        ),
        "y": alt.Y(
            "y:Q",
            title=y,
            scale=_scale(log_y, y_domain),
            axis=_axis(log_y, y_domain, _digits(y_domain), "~%" if percent else ",~r"),
        ),
        "color": colour,
    }
    measured = alt.Chart(_data(series))
    if dots:
        layers = [measured.mark_point(filled=True, size=55, opacity=1).encode(**encoding)]
        if not formulas:
            joined = measured.mark_line(strokeWidth=1, opacity=0.5, clip=True)
            layers.insert(0, joined.encode(**encoding, order="order:Q"))
    else:
        shape = "step-after" if steps else "linear"
        layers = [measured.mark_line(interpolate=shape, strokeWidth=1.8, clip=True).encode(**encoding, order="order:Q")]
    if formulas:
        dashed = alt.Chart(_data(formulas)).mark_line(strokeDash=[5, 3], strokeWidth=1.3, clip=True)
        layers.append(dashed.encode(**encoding, order="order:Q"))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=_title(title))


def dot_rows(
    series: Mapping[str, Mapping[str, float]],
    *,
    x: str,
    title: str,
    legend: str,
    marks: Mapping[str, float],
    mark: str,
    apart: bool = False,
) -> Any:
    """A row for each category, from above in the order of the first series, with a dot of each series at its value.

    `marks` are values of the rows themselves, drawn as upright strokes; `mark` says what they are, with the title. `apart`:
    the dots of a row stand below one another, so that equal ones are seen.
    """
    names = list(series)
    rows = list(next(iter(series.values())))
    values = [{"series": name, "row": row, "x": value} for name, dots in series.items() for row, value in dots.items()]
    place = alt.Y("row:N", sort=rows, title=None, axis=alt.Axis(grid=True, labelFontSize=12, labelLimit=260))
    along = alt.X("x:Q", title=x, scale=alt.Scale(zero=True))
    dots = alt.Chart(alt.Data(values=values)).mark_point(filled=True, size=80, opacity=1)
    colour = alt.Color(
        "series:N", scale=alt.Scale(domain=names, range=list(COLOURS[: len(names)])), legend=_legend(legend, dots=True)
    )
    strokes = alt.Chart(alt.Data(values=[{"row": row, "x": value} for row, value in marks.items()])).mark_tick(
        thickness=2.5, size=22, color="#444444"
    )
    below_one_another = {"yOffset": alt.YOffset("series:N", sort=names)} if apart else {}
    layers = alt.layer(
        strokes.encode(x=along, y=place), dots.encode(x=along, y=place, color=colour, **below_one_another)
    )
    return layers.properties(width=WIDTH, height=34 * len(rows), title=_title(f"{title} Stroke: {mark}"))


def rule(value: float, text: str) -> Any:
    """A vertical line at `value` with its meaning to its left, to be laid over a chart."""
    data = alt.Data(values=[{"x": value, "text": text}])
    line = alt.Chart(data).mark_rule(color="#666666", strokeDash=[2, 2]).encode(x="x:Q")
    label = alt.Chart(data).mark_text(align="right", dx=-5, dy=6, baseline="top", color="#444444", fontSize=11, y=0)
    return alt.layer(line, label.encode(x="x:Q", text="text:N"))


def below(*panels: Any, title: str) -> alt.VConcatChart:
    """Panels one below the other, each with its own colours; `title` is the answer, in one line."""
    return alt.vconcat(*panels, title=_title(title, size=15), spacing=26).resolve_scale(color="independent")


def save(chart: Any, file: Path) -> None:
    """Writes `file`.svg and `file`.png; the same chart gives the same bytes."""
    styled = chart.configure(**_THEME)
    styled.save(file.with_suffix(".svg"))
    styled.save(file.with_suffix(".png"), scale_factor=2)
    drawn = file.with_suffix(".svg")
    drawn.write_text(_renumbered(drawn.read_text()))


def _renumbered(svg: str) -> str:
    """The renderer counts clip paths through all that a process draws; here each file counts from 1."""
    numbers: dict[str, int] = {}
    return re.sub(r"\bclip\d+\b", lambda found: f"clip{numbers.setdefault(found[0], len(numbers) + 1)}", svg)


_THEME: dict[str, Any] = {
    "background": "white",
    "font": _FONT,
    "padding": 12,
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8, "gridColor": "#e6e6e6",
        "domainColor": "#888888", "tickColor": "#888888", "labelColor": "#222222", "titleColor": "#222222",
        "labelOverlap": "greedy",
    },
    "legend": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "labelLimit": 260, "offset": 14},
}  # fmt: skip


def _title(text: str, size: int = 12) -> alt.TitleParams:
    return alt.TitleParams(
        text=text,
        anchor="start",
        fontSize=size,
        fontWeight="bold" if size > 12 else "normal",
        offset=10,
        color="#111111",
    )


def _scale(log: bool, domain: tuple[float, float] | None) -> alt.Scale:
    limits = {"nice": False, "domain": list(domain)} if domain else {}
    return alt.Scale(type="log" if log else "linear", **limits)


def _legend(title: str, dots: bool) -> alt.Legend:
    if dots:
        return alt.Legend(title=title, symbolType="circle", symbolSize=70, symbolStrokeWidth=0, symbolOpacity=1)
    return alt.Legend(title=title, symbolType="stroke", symbolStrokeWidth=3)


def _digits(domain: tuple[float, float] | None) -> Sequence[int]:
    """Where ticks stand on a log axis: within two powers of ten there is room for more."""
    return (1, 2, 5) if domain and domain[1] <= 100 * domain[0] else (1,)


def _axis(
    log: bool, domain: tuple[float, float] | None, digits: Sequence[int], form: str, whole: bool = False
) -> alt.Axis:
    """Ticks on a log axis stand at these digits of every power of ten."""
    if not (log and domain):
        return alt.Axis(format=form, tickMinStep=1) if whole else alt.Axis(format=form)
    powers = range(floor(log10(domain[0])), ceil(log10(domain[1])) + 1)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
    return alt.Axis(format=form, values=[tick for tick in ticks if domain[0] <= tick <= domain[1]])


def _data(series: Mapping[str, Points]) -> alt.Data:
    return alt.Data(
        values=[
            {"series": name, "x": float(f"{x:.6g}"), "y": float(f"{y:.6g}"), "order": order}
            for name, points in series.items()
            for order, (x, y) in enumerate(points)
        ]
    )
