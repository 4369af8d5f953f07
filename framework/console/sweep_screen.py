"""The screen of a sweep: progress while it runs, then a table of combinations, and failures with their commands."""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from framework.console.formatting import counted, milliseconds, rate
from framework.console.progress import Redrawn
from framework.sweep.axes import Interval
from framework.sweep.point import Finished
from framework.sweep.rows import SweepRow, column_value
from framework.sweep.sweep_run import NOT_ALONE, SweepRun, asked_rows, kind_of_reason

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

SHOWN = 3
"""The number of failures of one kind whose command is printed; the rows have all of them."""

KINDS_SHOWN = 10

FOUND_SHOWN = 5
"""The number of invalid runs that are reported at once."""

COMBINATIONS_SHOWN = 50

_SEEN_FOR_PACE = 20
_LIVE_EVERY_S = 0.2
_PLAIN_EVERY_S = 5.0
_PLAIN_WIDTH = 120
_VERDICTS = ("valid", "unknown", "invalid")
_STANDING = "standing"
_STATUSES = ("failed", "timeout", "memory", "died")


class SweepScreen:
    """Shows progress on stderr: a live line on a terminal, a plain line every few seconds elsewhere; quiet: nothing."""

    def __init__(self, title: str, *, quiet: bool) -> None:
        self._title, self._quiet = title, quiet
        self._line = Redrawn(title) if sys.stderr.isatty() and not quiet else None
        self._last = time.monotonic()

    def __enter__(self) -> SweepScreen:
        if self._line is not None:
            self._line.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.__exit__(kind, error, trace)

    def progress(self, sweep_run: SweepRun, workers: int) -> None:
        every = _PLAIN_EVERY_S if self._line is None else _LIVE_EVERY_S
        if self._quiet or time.monotonic() - self._last < every:
            return
        self._last = time.monotonic()
        words = progress_words(sweep_run, workers)
        if self._line is not None:
            self._line.draw(sweep_run.finished / max(1, len(sweep_run.missing)), words)
        else:
            print(f"{self._title}  {words}", file=sys.stderr, flush=True)

    def found(self, sweep_run: SweepRun, row: SweepRow, finished: Finished) -> None:
        """Reports an invalid run at once, if it is among the first few; with its story if it ends the sweep."""
        if self._quiet or sweep_run.counts["invalid"] > FOUND_SHOWN:
            return
        lines = [f"invalid: {_point(row.axes, row.seed)}: {row.outcome.reason}"]
        if sweep_run.plan.settings.stop == "first_invalid":
            lines += [
                *(f"  {line}" for line in finished.story[1:]),
                *_again(sweep_run, row.axes, row.seed, row.outcome.kept),
            ]
        self._say("\n".join(lines))

    def _say(self, text: str) -> None:
        if self._line is not None:
            self._line.print(text)
        else:
            print(text, file=sys.stderr, flush=True)


def progress_words(sweep_run: SweepRun, workers: int) -> str:
    """Formats the progress of this launch: `312 of 1,000  11.9/s  1m 2s left  310 valid  2 unknown  2 workers`."""
    elapsed = max(time.monotonic() - sweep_run.began, 1e-9)
    pace = sweep_run.finished / elapsed
    left = (len(sweep_run.missing) - sweep_run.finished) / pace if sweep_run.finished >= _SEEN_FOR_PACE else None
    counts = [f"{sweep_run.counts[name]:,} {name}" for name in (*_VERDICTS, *_STATUSES) if sweep_run.counts[name]]
    return "  ".join(
        [
            f"{sweep_run.finished:,} of {len(sweep_run.missing):,}",
            rate(pace),
            *([f"{span(left)} left"] if left is not None else []),
            *counts,
            *([counted(workers, "worker")] if workers else []),
        ]
    )


def span(seconds: float) -> str:
    """Formats a duration: `45s`, `3m 20s`, `2h 5m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m {whole % 60}s" if whole < 3600 else f"{whole // 3600}h {whole % 3600 // 60}m"


class Summary:
    """The result of a sweep: all rows of the points that the command asks for."""

    def __init__(self, sweep_run: SweepRun) -> None:
        import pyarrow.compute as pc

        rows = asked_rows(sweep_run)
        self.sweep_run = sweep_run
        self._axes = [axis.key for axis in sweep_run.plan.axes]
        outcomes = pc.if_else(pc.equal(rows["status"], "ok"), rows["verdict"], rows["status"])
        self._rows = rows.append_column(_STANDING, outcomes)
        counts = pc.value_counts(outcomes).to_pylist()
        self.counts = Counter({entry["values"]: entry["counts"] for entry in counts})
        """Number of rows by verdict, or by status for runs without a verdict."""
        failed = rows.filter(pc.equal(rows["status"], "failed"))["reason"].to_pylist()
        self._dependence = next((reason for reason in failed if reason.startswith(NOT_ALONE)), "")

    @property
    def verdict(self) -> str:
        """The verdict of the sweep: `invalid — 3 of 1,000 runs`, `unknown — …`, `valid`."""
        counts, total = self.counts, len(self._rows)
        missing = len(self.sweep_run.missing) - self.sweep_run.finished
        if self._dependence:
            return "unknown — runs depend on earlier runs in the same process"
        if counts["invalid"]:
            return f"invalid — {counts['invalid']:,} of {counted(total, 'run')}"
        if self.sweep_run.stopped:
            return f"unknown — {self.sweep_run.stopped}"
        if missing:
            return (
                f"unknown — {missing:,} of {counted(missing + total, 'run')} {'is' if missing == 1 else 'are'} missing"
            )
        others = [f"{counts[name]:,} {name}" for name in ("unknown", *_STATUSES) if counts[name]]
        return f"unknown — {', '.join(others)} of {counted(total, 'run')}" if others else "valid"

    @property
    def exit_code(self) -> int:
        return {"invalid": 1, "valid": 0}.get(self.verdict.partition(" ")[0], 2)

    def print(self) -> None:
        """Prints the table, the strikes, and the reasons against `valid` with the commands that replay them."""
        from rich.console import Console

        console = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
        with console.capture() as captured:
            if len(self._rows):
                console.print(self._table())
        for line in captured.get().splitlines():
            print(line.rstrip())
        for line in self._lines():
            print(line)

    def _table(self) -> Table:
        """Returns a table with a line for each combination.

        A line has the number of runs by verdict, and the median over seeds of each measurement, with the 10th and 90th
        percentiles.
        """
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0))
        outcomes = [name for name in (*_VERDICTS, *_STATUSES) if self.counts[name]]
        for heading in (*self._axes, "runs", *outcomes, "operations/s", "p50", "p99"):
            table.add_column(heading, justify="left" if heading in self._axes else "right", no_wrap=True)
        for values, rows in self._groups():
            counts = Counter(rows[_STANDING].to_pylist())
            table.add_row(
                *map(_shown, values),
                f"{len(rows):,}",
                *(f"{counts[name]:,}" if counts[name] else "" for name in outcomes),
                _spread(_measured(rows, "throughput_ops_s"), lambda value: f"{value:,.0f}"),
                _spread(_measured(rows, "latency_p50_ms"), milliseconds),
                _spread(_measured(rows, "latency_p99_ms"), milliseconds),
            )
        return table

    def _groups(self) -> Iterator[tuple[tuple[Any, ...], pa.Table]]:
        """Yields the values and rows of each of the first combinations, in the order of the points."""
        import pyarrow.compute as pc

        points, seen = self.sweep_run.plan.points, set()
        for number in range(min(points.combinations, COMBINATIONS_SHOWN)):
            values = tuple(self._stored(points.combination(number)))
            rows = self._rows
            for axis, value in zip(self._axes, values, strict=True):
                column = rows[axis]
                rows = rows.filter(pc.is_null(column) if value is None else pc.equal(column, value))
            if len(rows) and values not in seen:
                seen.add(values)
                yield values, rows

    def _stored(self, values: Iterable[Any]) -> Iterator[Any]:
        for axis, value in zip(self.sweep_run.plan.axes, values, strict=True):
            yield column_value(value, self.sweep_run.store.axes[axis.key])

    def _lines(self) -> Iterator[str]:
        combinations = self.sweep_run.plan.points.combinations
        if combinations > COMBINATIONS_SHOWN:
            yield f"… {combinations - COMBINATIONS_SHOWN:,} more combinations in the rows"
        if len(self._rows) > combinations:
            yield "operations/s and latencies: median over seeds, 10th to 90th percentile in brackets"
        if self._dependence:
            yield f"\nNo verdict counts: a run {self._dependence}."
        yield ""
        named = [
            f"{self.counts[name]:,} {name}"
            for name in (*_VERDICTS, *_STATUSES)
            if self.counts[name] or name in _VERDICTS
        ]
        yield f"{counted(len(self._rows), 'run')}: {', '.join(named)}"
        yield from self._tally("strikes")
        yield from self._tally("sometimes")
        if self.sweep_run.finished:
            took = sorted(self._rows["took_s"].to_pylist())
            pace = self.sweep_run.finished / max(time.monotonic() - self.sweep_run.began, 1e-9)
            yield f"{rate(pace)}; a run takes {took[len(took) // 2]:.2f} s (median), {took[-1]:.2f} s at the most"
        yield from self._failures()

    def _tally(self, column: str) -> Iterator[str]:
        """Yields a line for each name in a column of maps: its total count, and the number of runs that have it."""
        import pyarrow.compute as pc

        maps = self._rows[column].combine_chunks()
        total: Counter[str] = Counter()
        runs: Counter[str] = Counter()
        for name in sorted(pc.unique(maps.keys).to_pylist()):
            counts = maps.items.filter(pc.equal(maps.keys, name))
            total[name], runs[name] = pc.sum(counts).as_py(), pc.sum(pc.greater(counts, 0)).as_py()
        if total:
            yield column
            yield from (f"  {name:28} {total[name]:10,}  in {counted(runs[name], 'run')}" for name in total)

    def _failures(self) -> Iterator[str]:
        """Yields, for each kind of reason, its number of runs, and the first few of them with their commands."""
        import pyarrow.compute as pc

        kinds: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
        failing = self._rows.filter(pc.not_equal(self._rows[_STANDING], "valid"))
        for row in failing.select([*self._axes, "seed", _STANDING, "reason", "kept"]).to_pylist():
            kinds.setdefault((_rank(row[_STANDING]), row[_STANDING], kind_of_reason(row["reason"])), []).append(row)
        for (_, standing, kind), rows in sorted(kinds.items(), key=lambda item: (item[0][0], -len(item[1])))[
            :KINDS_SHOWN
        ]:
            yield f"\n{standing}, {'once' if len(rows) == 1 else f'{len(rows):,} times'}: {kind}"
            rows.sort(key=lambda row: (not row["kept"], row["seed"]))
            for row in rows[:SHOWN]:
                yield f"  {_point({axis: row[axis] for axis in self._axes}, row['seed'])}: {row['reason']}"
                yield from (
                    f"  {line}" for line in _again(self.sweep_run, self._written(row), row["seed"], row["kept"])
                )
            if len(rows) > SHOWN:
                yield f"  … {len(rows) - SHOWN:,} more in the rows"
        if len(kinds) > KINDS_SHOWN:
            yield f"… {len(kinds) - KINDS_SHOWN:,} more kinds in the rows"

    def _written(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the value on each axis as it was written in the config; a text column has lists as JSON."""
        values = {}
        for axis in self.sweep_run.plan.axes:
            kind = self.sweep_run.store.axes[axis.key]
            asked = [] if isinstance(axis, Interval) or isinstance(axis.values, range) else axis.values
            same = (value for value in asked if column_value(value, kind) == row[axis.key])
            values[axis.key] = next(same, row[axis.key])
        return values


def _measured(rows: pa.Table, column: str) -> list[float]:
    """Returns the measurements of the runs that have a verdict."""
    import pyarrow.compute as pc

    figures: list[float] = rows.filter(pc.equal(rows["status"], "ok"))[column].drop_null().to_pylist()
    return figures


def _point(axes: Mapping[str, Any], seed: int) -> str:
    """Formats a point: `nodes=3, seed=7`."""
    return ", ".join([*(f"{key}={_shown(value)}" for key, value in axes.items()), f"seed={seed}"])


def _again(sweep_run: SweepRun, axes: Mapping[str, Any], seed: int, kept: str | None) -> list[str]:
    there = kept and (sweep_run.store.folder / kept).is_dir()
    folder = [f"  kept: {sweep_run.store.folder / kept}"] if kept and there else []
    return [f"  again: {sweep_run.command([axes[axis.key] for axis in sweep_run.plan.axes], seed)}", *folder]


def _rank(standing: str) -> int:
    return ("invalid", *_STATUSES, "unknown", "valid").index(standing)


def _spread(values: Sequence[float], word: Callable[[float | None], str]) -> str:
    """Formats the median and the 10th and 90th percentiles: `16,400 (15,900–17,000)`; `-` if there are no values."""
    known = sorted(values)
    if not known:
        return "-"
    low, high = (known[min(len(known) - 1, int(share * len(known)))] for share in (0.1, 0.9))
    middle = statistics.median(known)
    return word(middle) if word(low) == word(high) else f"{word(middle)} ({word(low)}–{word(high)})"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
