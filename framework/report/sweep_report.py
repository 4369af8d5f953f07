"""The report of a sweep: verdicts, what stood against `valid`, and how each measure is distributed.

A distribution is shown combination by combination: its quantiles are those of all runs, and each run is a point, up to
a limit. The runs that the sweep has kept get reports of their own, so that a point leads to its run.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from framework.checking.verdict import Verdict
from framework.core.errors import SynodError
from framework.core.tracebacks import error_line, one_line, printable
from framework.registry.registry import Registry
from framework.report.document import write_page
from framework.report.links import link_to_report
from framework.report.run_list import NO_VERDICT, fixed_settings, sweep_verdict
from framework.report.run_report import REPORT, write_run_report
from framework.report.sweep_measures import MEASURES, SHOWN_FIRST, Column, SweepRows, sweep_rows
from framework.runs.commands import replay_command
from framework.runs.folder import RESULT
from framework.sweep.axes import Choices, Interval, override_text
from framework.sweep.plan import SweepPlan, plan_sweep
from framework.sweep.reader import Sweep, open_sweep
from framework.sweep.rows import column_value
from framework.sweep.store import KEPT
from framework.sweep.sweep_run import kind_of_reason
from framework.trace.operations import short
from framework.trace.reader import open_run

MOST_POINTS = 5_000
"""The most runs that are points of their own. Runs that are not valid come first; the valid ones are evenly chosen."""
MOST_FAILURES = 2_000
"""The most runs that are not valid that have a row with their reason and their command."""
MOST_COMBINATIONS = 5_000
"""The most combinations that are shown. An axis of numbers drawn at random has one for each draw."""
EXAMPLES = 3
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
STANDINGS = ("valid", "unknown", "invalid", "failed", "timeout", "memory", "died")


def write_sweep_report(folder: Path, target: Path | None = None) -> Path:
    """Writes the report of the sweep in `folder`, finished or not, and returns its path: `target`, or report.html in
    the folder. Writes the reports of the kept runs that have none.

    Raises ConfigError if there is no sweep, it cannot be read, or the report cannot be written.
    """
    sweep = open_sweep(folder)
    path = folder / REPORT if target is None else target
    data = sweep_data(sweep, path)
    write_page(path, data["title"], "sweep.js", data)
    return path


def write_kept_reports(folder: Path, registry: Registry | None = None) -> None:
    """Writes the report of each kept run of the sweep in `folder` that is not valid, and has no report or an older one
    than its result. A run whose report cannot be written gets a line on stderr. `registry` knows the plugins of the
    sweep; without it each report loads them."""
    for kept in sorted((folder / KEPT).glob("*")):
        try:
            report, result = kept / REPORT, kept / RESULT
            if not kept.is_dir() or (report.exists() and report.stat().st_mtime >= result.stat().st_mtime):
                continue
            if open_run(kept).result.get("verdict") != Verdict.VALID:
                write_run_report(kept, registry=registry)
        except Exception as error:
            print(f"warning: no report of {kept}: {error_line(error)}", file=sys.stderr)


def sweep_data(sweep: Sweep, page: Path) -> dict[str, Any]:
    """Returns the data of the page at `page`: JSON values. Writes the reports of kept runs first."""
    head, rows = sweep.head, sweep.rows
    commands = Commands(sweep)
    write_kept_reports(sweep.folder, commands.registry)
    measured = sweep_rows(rows, head.axes, commands.order())
    counts = Counter(measured.standings)
    fixed = fixed_settings(head)
    failures = _Failures(sweep, rows, measured, commands, page)
    title = fixed.get("experiment") or ("several experiments" if "experiment" in head.axes else sweep.folder.name)
    verdict, summary = _conclusion(counts, *commands.progress(rows))
    return {
        "title": f"Sweep of {title}",
        "subtitle": printable(f"engine {head.engine} · {head.started} · {sweep.folder}"),
        "verdict": verdict,
        "summary": summary,
        "counts": [{"verdict": name, "runs": counts[name]} for name in STANDINGS if counts[name]],
        "groups": failures.groups(),
        "failures": failures.rows(),
        "failures_left_out": failures.left_out,
        "axes": [
            {
                "key": axis.key,
                "values": axis.values,
                "numbers": None if axis.numbers is None else [short(number, 6) for number in axis.numbers],
                "unit": axis.unit,
            }
            for axis in measured.axes
        ],
        "measures": [{"key": one.key, "label": one.label, "unit": one.unit} for one in MEASURES],
        "shown": [one.key for one in MEASURES[:SHOWN_FIRST]],
        "combinations": combinations_data(measured),
        "combinations_left_out": max(0, len(measured.combinations) - MOST_COMBINATIONS),
        "points": _points(measured, failures.place),
        "runs": len(rows),
        "settings": [{"key": key, "value": value} for key, value in fixed.items()],
        "command": commands.sweep_command,
        "code": head.code,
        "made": f"Synod · {printable(sweep.folder.name)} · written {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}",
    }


def _conclusion(counts: Mapping[str, int], missing: int, points: int) -> tuple[str, str]:
    """Returns the verdict on a sweep and what it rests on. Runs that are missing make it unknown unless one is
    invalid."""
    total = sum(counts.values())
    verdict = sweep_verdict(counts)
    told = f"{total:,} run{'' if total == 1 else 's'}"
    if verdict == NO_VERDICT:
        return verdict, "no run has ended yet"
    if missing:
        return (
            "unknown" if verdict == "valid" else verdict
        ), f"{told}; {missing:,} of {points:,} points have no row yet"
    return verdict, told


def combinations_data(measured: SweepRows) -> list[dict[str, Any]]:
    """Returns each combination: its places on the axes, its runs by verdict, and in the order of the measures how many
    runs have a value, and the quantiles of these values: null if there is no value, one number if there is one."""
    runs: dict[int, Counter[str]] = {}
    for combination, name in zip(measured.combination.tolist(), measured.standings, strict=True):
        runs.setdefault(combination, Counter())[name] += 1
    found = []
    for number, places in enumerate(measured.combinations[:MOST_COMBINATIONS]):
        values = [measured.values(measure.key, number) for measure in MEASURES]
        counts = {name: runs[number][name] for name in STANDINGS if runs[number][name]}
        found.append(
            {
                "places": places,
                "runs": counts,
                "known": list(map(len, values)),
                "quantiles": list(map(_quantiles, values)),
            }
        )
    return found


def _quantiles(values: Column) -> list[float] | None:
    if len(values) == 0:
        return None
    found = values if len(values) == 1 else np.quantile(values, QUANTILES)
    return [short(value, 5) for value in found.tolist()]


def _points(measured: SweepRows, failures: Mapping[int, int]) -> dict[str, Any]:
    """Returns the runs that are shown as points, as columns. `failure` is the place of the run among the failures."""
    rows = [row for row, number in enumerate(measured.combination.tolist()) if number < MOST_COMBINATIONS]
    bad = [row for row in rows if measured.standings[row] != "valid"][:MOST_POINTS]
    good = [row for row in rows if measured.standings[row] == "valid"]
    room = MOST_POINTS - len(bad)
    if len(good) > room:
        good = [good[place] for place in np.linspace(0, len(good) - 1, room).astype(int).tolist()] if room else []
    order = sorted((*bad, *good), key=lambda row: (int(measured.combination[row]), int(measured.seeds[row]), row))
    chosen = np.array(order, dtype=np.int64)
    return {
        "combination": measured.combination[chosen].tolist(),
        "seed": measured.seeds[chosen].tolist(),
        "standing": [STANDINGS.index(measured.standings[row]) for row in order],
        "standings": STANDINGS,
        "failure": [failures.get(row, -1) for row in order],
        "values": {
            key: [None if np.isnan(value) else short(value, 5) for value in column[chosen].tolist()]
            for key, column in measured.measures.items()
        },
    }


class Commands:
    """The commands that repeat a sweep and its runs.

    They are those of the sweep's plan. If that can no longer be made, because a plugin or a config is not there, they
    are composed of the settings in sweep.json.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._head = sweep.head
        self._plan: SweepPlan | None = None
        with suppress(SynodError):
            self._plan = plan_sweep(sweep.head.overrides, sweep.head.config_dir, str(sweep.folder))
        self.registry = None if self._plan is None else self._plan.composed.registry
        self.sweep_command = replay_resume(sweep.folder)

    def progress(self, rows: pa.Table) -> tuple[int, int]:
        """Returns how many points of the last command have no row, and how many there are; 0 and 0 if that is not
        known: without a plan, and for draws, which may repeat a combination."""
        if self._plan is None or self._plan.points.sampler != "grid":
            return 0, 0
        points = self._plan.points
        seeds = points.seeds if isinstance(points.seeds, range) else set(points.seeds)
        has_row = [seed in seeds for seed in rows["seed"].to_pylist()]
        for axis in points.axes:
            assert isinstance(axis, Choices)
            values = {column_value(value, self._head.axes[axis.key]) for value in axis.values}
            has_row = [one and value in values for one, value in zip(has_row, rows[axis.key].to_pylist(), strict=True)]
        return len(points) - sum(has_row), len(points)

    def order(self) -> dict[str, list[Any]]:
        """Returns the values of each axis in the order of the command line, in the form of its column."""
        if self._plan is None:
            return {}
        return {
            axis.key: [column_value(value, self._head.axes[axis.key]) for value in axis.values]
            for axis in self._plan.axes
            if isinstance(axis, Choices) and not isinstance(axis.values, range) and axis.key in self._head.axes
        }

    def command(self, values: Mapping[str, Any], seed: int) -> str:
        """Returns the command that takes a run again. `values` has the value of each axis in the form of its column."""
        if self._plan is None:
            words = [override_text(Choices(key, ()), _plain(value)) for key, value in values.items()]
            return printable(replay_command([*self._head.fixed, *words], self._head.config_dir, seed))
        plan = self._plan
        words = [override_text(axis, self._written(axis, values[axis.key])) for axis in plan.axes]
        address = [] if plan.address is None or plan.engine != "ray" else [f"engine.address={plan.address}"]
        return printable(replay_command([*plan.asked, *address, *words], plan.config_dir, seed))

    def _written(self, axis: Choices | Interval, value: Any) -> Any:
        """Returns a value as the command line had it: a column has lists as JSON."""
        if isinstance(axis, Choices) and not isinstance(axis.values, range):
            kind = self._head.axes[axis.key]
            return next((asked for asked in axis.values if column_value(asked, kind) == value), _plain(value))
        return value


def replay_resume(folder: Path) -> str:
    """Returns the command that continues a sweep."""
    from framework.core.command_line import command_line

    return printable(command_line("framework.run", "--resume", str(folder)))


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        with suppress(ValueError):
            return json.loads(value)
    return value


class _Failures:
    """The runs that are not valid: with their reasons, and a link or a command for each."""

    def __init__(self, sweep: Sweep, rows: pa.Table, measured: SweepRows, commands: Commands, page: Path) -> None:
        self._sweep, self._measured, self._commands, self._page = sweep, measured, commands, page
        bad = [row for row, name in enumerate(measured.standings) if name != "valid"]
        bad.sort(
            key=lambda row: (
                STANDINGS.index(measured.standings[row]) != 2,
                measured.combination[row],
                measured.seeds[row],
            )
        )
        self.left_out = max(0, len(bad) - MOST_FAILURES)
        self._all = bad
        self._chosen = bad[:MOST_FAILURES]
        self.place = {row: place for place, row in enumerate(self._chosen)}
        """The place of each row of the sweep among `rows()`."""
        self._columns = {key: rows[key].to_pylist() for key in ("reason", "kept", "seed", *sweep.head.axes)}

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each run, the invalid ones first: `command`, and `link` if its folder was kept."""
        return [self._row(row) for row in self._chosen]

    def groups(self) -> list[dict[str, Any]]:
        """Returns the reasons by kind with their number of runs and some examples, places among `rows()`."""
        kinds: dict[tuple[str, str], list[int]] = {}
        for row in self._all:
            kind = kind_of_reason(self._columns["reason"][row] or "")
            kinds.setdefault((self._measured.standings[row], kind), []).append(row)
        ordered = sorted(kinds.items(), key=lambda item: (item[0][0] != "invalid", -len(item[1]), item[0]))
        return [
            {
                "verdict": name,
                "kind": printable(kind) or "no reason is recorded",
                "runs": len(rows),
                "examples": [self.place[row] for row in self._examples(rows)],
            }
            for (name, kind), rows in ordered
        ]

    def _examples(self, rows: Sequence[int]) -> Iterator[int]:
        known = [row for row in rows if row in self.place]
        yield from sorted(known, key=lambda row: (not self._columns["kept"][row], row))[:EXAMPLES]

    def _row(self, row: int) -> dict[str, Any]:
        values = {key: self._columns[key][row] for key in self._sweep.head.axes}
        seed = self._columns["seed"][row]
        kept = self._kept(self._columns["kept"][row])
        return {
            "combination": int(self._measured.combination[row]),
            "label": self._measured.label(int(self._measured.combination[row])),
            "seed": seed,
            "verdict": self._measured.standings[row],
            "reason": one_line(self._columns["reason"][row] or ""),
            "link": None if kept is None else link_to_report(self._page, kept),
            "command": self._commands.command(values, seed),
        }

    def _kept(self, name: str) -> Path | None:
        """Returns the folder of a kept run, if it is still there and below the sweep's."""
        folder = self._sweep.folder / name
        with suppress(OSError, ValueError):
            if name and folder.is_dir() and folder.resolve().is_relative_to(self._sweep.folder.resolve()):
                return folder
        return None
