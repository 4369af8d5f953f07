"""A sweep on the screen: progress while it runs, then a table over what varies, what went wrong, and how to see it again."""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from framework.console.progress import Redrawn
from framework.console.wording import counted, milliseconds, rate
from framework.sweep.axes import Interval
from framework.sweep.course import NOT_ALONE, Course, kind_of_reason
from framework.sweep.point import Finished
from framework.sweep.rows import Row, column_value

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

SHOWN = 3
"""Failures of one kind whose command is printed; all stand in the rows."""

KINDS_SHOWN = 10

FOUND_SHOWN = 5
"""Invalid runs that are told of at once."""

COMBINATIONS_SHOWN = 50

_SEEN_FOR_PACE = 20
_LIVE_EVERY_S = 0.2
_PLAIN_EVERY_S = 5.0
_PLAIN_WIDTH = 120
_VERDICTS = ("valid", "unknown", "invalid")
_STATUSES = ("failed", "timeout", "memory", "died")


class SweepScreen:
    """Progress on stderr: a live line on a terminal, a plain line every few seconds anywhere else, nothing when quiet."""

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

    def progress(self, course: Course, workers: int) -> None:
        every = _PLAIN_EVERY_S if self._line is None else _LIVE_EVERY_S
        if self._quiet or time.monotonic() - self._last < every:
            return
        self._last = time.monotonic()
        words = progress_words(course, workers)
        if self._line is not None:
            self._line.draw(course.finished / max(1, len(course.missing)), words)
        else:
            print(f"{self._title}  {words}", file=sys.stderr, flush=True)

    def found(self, course: Course, row: Row, finished: Finished) -> None:
        """Says at once that a run is invalid, of the first few; with its story if that ends the sweep."""
        if self._quiet or course.counts["invalid"] > FOUND_SHOWN:
            return
        where = ", ".join([*(f"{key}={value}" for key, value in row.axes.items()), f"seed={row.seed}"])
        lines = [f"invalid: {where}: {row.outcome.reason}"]
        if course.plan.settings.stop == "first_invalid":
            lines += [
                *(f"  {line}" for line in finished.story[1:]),
                *_again(course, row.axes, row.seed, row.outcome.kept),
            ]
        self._say("\n".join(lines))

    def _say(self, text: str) -> None:
        if self._line is not None:
            self._line.print(text)
        else:
            print(text, file=sys.stderr, flush=True)


def progress_words(course: Course, workers: int) -> str:
    """`312 of 1,000  11.9/s  1m 2s left  310 valid  2 unknown  2 workers`: of this launch."""
    elapsed = max(time.monotonic() - course.began, 1e-9)
    pace = course.finished / elapsed
    left = (len(course.missing) - course.finished) / pace if course.finished >= _SEEN_FOR_PACE else None
    counts = [f"{course.counts[name]:,} {name}" for name in (*_VERDICTS, *_STATUSES) if course.counts[name]]
    return "  ".join(
        [
            f"{course.finished:,} of {len(course.missing):,}",
            rate(pace),
            *([f"{span(left)} left"] if left is not None else []),
            *counts,
            *([counted(workers, "worker")] if workers else []),
        ]
    )


def span(seconds: float) -> str:
    """`45s`, `3m 20s`, `2h 5m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m {whole % 60}s" if whole < 3600 else f"{whole // 3600}h {whole % 3600 // 60}m"


@dataclass(frozen=True)
class Summary:
    """What a sweep came to: all rows of the points that were asked for."""

    course: Course
    rows: pa.Table

    @property
    def counts(self) -> Counter[str]:
        """Rows by verdict, or by status where there is none."""
        return Counter(_standing(row) for row in self._columns("status", "verdict"))

    @property
    def depends_on_others(self) -> bool:
        """Whether a run came out differently in a process of its own, so that no verdict counts."""
        return any(row["reason"].startswith(NOT_ALONE) for row in self._columns("reason"))

    @property
    def verdict(self) -> str:
        """`invalid — 3 of 1,000 runs`, `unknown — …`, `valid`."""
        counts, total = self.counts, len(self.rows)
        missing = len(self.course.missing) - self.course.finished
        if counts["invalid"] and not self.depends_on_others:
            return f"invalid — {counts['invalid']:,} of {counted(total, 'run')}"
        if self.depends_on_others:
            return "unknown — runs depend on the runs before them in their process"
        if self.course.stopped and not counts["invalid"]:
            return f"unknown — {self.course.stopped}"
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
        """The table, then reasons, strikes, and how to see failures again."""
        from rich.console import Console

        console = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
        with console.capture() as captured:
            if len(self.rows):
                console.print(self._table())
        for line in captured.get().splitlines():
            print(line.rstrip())
        for line in self._lines():
            print(line)

    def _table(self) -> Table:
        """A line for each combination: how many runs by verdict; of what was measured the median over seeds, and the span
        from the 10th to the 90th percentile."""
        from rich.table import Table

        axes = [axis.key for axis in self.course.plan.axes]
        table = Table(box=None, padding=(0, 2, 0, 0))
        groups = self._groups(axes)
        standings = [
            name for name in (*_VERDICTS, *_STATUSES) if any(name in map(_standing, rows) for rows in groups.values())
        ]
        for heading in (*axes, "runs", *standings, "operations/s", "p50", "p99"):
            table.add_column(heading, justify="left" if heading in axes else "right", no_wrap=True)
        for values, rows in list(groups.items())[:COMBINATIONS_SHOWN]:
            counts = Counter(map(_standing, rows))
            measured = [row for row in rows if row["status"] == "ok"]
            table.add_row(
                *map(_shown, values),
                f"{len(rows):,}",
                *(f"{counts[name]:,}" if counts[name] else "" for name in standings),
                _spread([row["throughput_ops_s"] for row in measured], lambda value: f"{value:,.0f}"),
                _spread([row["latency_p50_ms"] for row in measured], milliseconds),
                _spread([row["latency_p99_ms"] for row in measured], milliseconds),
            )
        return table

    def _groups(self, axes: Sequence[str]) -> Mapping[tuple[Any, ...], list[Mapping[str, Any]]]:
        """The rows of each combination, in the order of the points."""
        points = self.course.plan.points
        groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
        for number in range(min(points.combinations, COMBINATIONS_SHOWN)):
            groups.setdefault(tuple(self._stored(points.combination(number))), [])
        for row in self._columns(*axes, "status", "verdict", "throughput_ops_s", "latency_p50_ms", "latency_p99_ms"):
            groups.setdefault(tuple(row[axis] for axis in axes), []).append(row)
        return {values: rows for values, rows in groups.items() if rows}

    def _stored(self, values: Iterable[Any]) -> Iterator[Any]:
        for axis, value in zip(self.course.plan.axes, values, strict=True):
            yield column_value(value, self.course.store.axes[axis.key])

    def _lines(self) -> Iterator[str]:
        course, combinations = self.course, self.course.plan.points.combinations
        if combinations > COMBINATIONS_SHOWN:
            yield f"… {combinations - COMBINATIONS_SHOWN:,} more combinations in the rows"
        if self.depends_on_others:
            yield (
                "\nNo verdict counts: "
                + next(row["reason"] for row in self._columns("reason") if row["reason"].startswith(NOT_ALONE))
                + "."
            )
        if len(self.rows) > combinations:
            yield "operations/s and latencies: median over seeds, 10th to 90th percentile in brackets"
        yield ""
        counts = self.counts
        named = [f"{counts[name]:,} {name}" for name in (*_VERDICTS, *_STATUSES) if counts[name] or name in _VERDICTS]
        yield f"{counted(len(self.rows), 'run')}: {', '.join(named)}"
        yield from self._tally("strikes", "strikes")
        yield from self._tally("sometimes", "sometimes")
        if course.finished:
            took = sorted(row["took_s"] for row in self._columns("took_s"))
            pace = course.finished / max(time.monotonic() - course.began, 1e-9)
            yield f"{rate(pace)}; a run takes {took[len(took) // 2]:.2f} s (median), {took[-1]:.2f} s at the most"
        yield from self._failures()

    def _tally(self, title: str, column: str) -> Iterator[str]:
        """By name: how many in all, and in how many runs."""
        total: Counter[str] = Counter()
        runs: Counter[str] = Counter()
        for row in self._columns(column):
            for name, count in row[column] or ():
                total[name] += count
                runs[name] += bool(count)
        if total:
            yield title
            yield from (f"  {name:28} {total[name]:10,}  in {runs[name]:,} runs" for name in sorted(total))

    def _failures(self) -> Iterator[str]:
        """For each kind of reason how often it came, and the first few runs with their commands."""
        axes = [axis.key for axis in self.course.plan.axes]
        kinds: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
        for row in self._columns(*axes, "seed", "status", "verdict", "reason", "kept"):
            if (standing := _standing(row)) != "valid":
                kinds.setdefault((_rank(standing), standing, kind_of_reason(row["reason"])), []).append(row)
        for (_, standing, kind), rows in sorted(kinds.items(), key=lambda item: (item[0][0], -len(item[1])))[
            :KINDS_SHOWN
        ]:
            yield f"\n{standing}, {'once' if len(rows) == 1 else f'{len(rows):,} times'}: {kind}"
            rows.sort(key=lambda row: (not row["kept"], row["seed"]))
            for row in rows[:SHOWN]:
                where = ", ".join([*(f"{axis}={_shown(row[axis])}" for axis in axes), f"seed={row['seed']}"])
                yield f"  {where}: {row['reason']}"
                yield from (f"  {line}" for line in _again(self.course, self._written(row), row["seed"], row["kept"]))
            if len(rows) > SHOWN:
                yield f"  … {len(rows) - SHOWN:,} more in the rows"
        if len(kinds) > KINDS_SHOWN:
            yield f"… {len(kinds) - KINDS_SHOWN:,} more kinds in the rows"

    def _written(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The value on each axis as it was asked for; a column of text holds lists as JSON."""
        values = {}
        for axis in self.course.plan.axes:
            kind = self.course.store.axes[axis.key]
            asked = [] if isinstance(axis, Interval) or isinstance(axis.values, range) else axis.values
            same = (value for value in asked if column_value(value, kind) == row[axis.key])
            values[axis.key] = next(same, row[axis.key])
        return values

    def _columns(self, *names: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.rows.select(list(names)).to_pylist()
        return rows


def _again(course: Course, axes: Mapping[str, Any], seed: int, kept: str | None) -> list[str]:
    folder = [f"  kept: {course.store.folder / kept}"] if kept else []
    return [f"  again: {course.command([axes[axis.key] for axis in course.plan.axes], seed)}", *folder]


def _standing(row: Mapping[str, Any]) -> str:
    return str(row["verdict"] if row["status"] == "ok" else row["status"])


def _rank(standing: str) -> int:
    return ("invalid", *_STATUSES, "unknown", "valid").index(standing)


def _spread(values: Sequence[float | None], word: Callable[[float | None], str]) -> str:
    """`16,400 (15,900–17,000)`: median, 10th and 90th percentile; `-` of nothing."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return "-"
    low, high = (known[min(len(known) - 1, int(share * len(known)))] for share in (0.1, 0.9))
    middle = statistics.median(known)
    return word(middle) if word(low) == word(high) else f"{word(middle)} ({word(low)}–{word(high)})"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
