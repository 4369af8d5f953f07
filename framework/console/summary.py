"""The printed result of a run: numbers, then errors and the command that replays them, then the verdict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from framework.checking.verdict import CheckResult, Verdict
from framework.console.formatting import milliseconds, rate, shortened, tallied
from framework.faults.ledger import ledger_texts
from framework.runs.blocking import Blocking
from framework.runs.result import CrashRecord, RunResult

if TYPE_CHECKING:
    from rich.table import Table

_PLAIN_WIDTH = 100
_CRASHES_SHOWN = 10
_TRACEBACKS_SHOWN = 3


def print_summary(result: RunResult, title: str) -> None:
    """Prints the title, the tables, and every reason against `valid`.

    Adds the evidence of an invalid run, and the command that replays it.
    """
    print(_tables(result, title), end="")
    for line in (*_crashes(result.crashes), *_findings(result)):
        print(line)
    print()


def print_verdict(result: RunResult, run_dir: Path) -> None:
    """Prints the last two lines, which scripts read."""
    print(f"verdict: {result.summary}")
    print(f"run: {run_dir}", flush=True)


def _tables(result: RunResult, title: str) -> str:
    """Returns the tables as text, with colours on a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    numbers = Table.grid(padding=(0, 2))
    for name, value in _numbers(result):
        numbers.add_row(Text(name, style="dim"), Text(value))
    tables = [_grid(rows) for rows in (_ledger(result), _messages(result)) if len(rows) > 1]
    heading = Text(f"\n{title} on {result.engine}, seed {result.seed}", style="bold")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    with console.capture() as captured:
        console.print(heading, numbers, *(part for table in tables for part in ("", table)))
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _grid(rows: list[tuple[str, ...]]) -> Table:
    """Returns a table whose first row is the header. Numbers are right-aligned."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    for head, below in zip(rows[0], rows[1], strict=True):
        right = below.replace(",", "").isdigit()
        table.add_column(head, justify="right" if right else "left", overflow="fold")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return table


def _messages(result: RunResult) -> list[tuple[str, ...]]:
    """Returns the messages delivered and lost by type, and the extra copies delivered, if any."""
    counts = [result.messages, result.dropped, *([result.duplicated] if result.duplicated else [])]
    rows: list[tuple[str, ...]] = [("message", "delivered", "lost", "repeated")[: 1 + len(counts)]]
    for name in sorted(set().union(*counts)):
        rows.append((name, *(f"{count.get(name, 0):,}" for count in counts)))
    return rows


def _ledger(result: RunResult) -> list[tuple[str, ...]]:
    """Returns a row for each fault: how often it was due and fired, its targets, their roles, and what it touched."""
    rows: list[tuple[str, ...]] = [("fault", "due", "fired", "touched", "against", "roles")]
    for entry in result.ledger:
        fault, touched, against, roles = ledger_texts(entry)
        rows.append((fault, f"{entry['due']:,}", f"{entry['fired']:,}", touched or "-", against, roles))
    return rows


def _numbers(result: RunResult) -> list[tuple[str, str]]:
    latency = "   ".join(f"{name} {milliseconds(value)}" for name, value in result.latency_ms.items())
    took = f"{result.virtual_s:.1f} s of the run in {result.wall_s:.1f} s, {result.process_s:.1f} s in all"
    rows = [
        ("operations", "   ".join(f"{name} {count:,}" for name, count in result.operations.items())),
        ("throughput", rate(result.throughput_ops_s)),
        ("latency", latency),
        ("steps", f"{result.steps:,}"),
        ("fsyncs", f"{result.fsyncs:,}"),
        ("faults", tallied(result.faults)),
        ("sometimes", tallied(result.sometimes)),
        ("time", took),
    ]
    rows = [row for row in rows if row[0] != "sometimes" or result.sometimes]
    if result.blocked is not None:
        rows.insert(5, ("blocked", _blocked(result.blocked)))
    if uncounted := result.details.get("uncounted"):
        rows.insert(5, ("not counted", uncounted))
    rows += [(check.name, _conclusion(check)) for check in result.checks]
    rows += [(name, result.details[name]) for name in ("convergence", "recovery") if name in result.details]
    return rows


def _blocked(blocked: Blocking) -> str:
    """Formats blocked time: `1.2 s in 4 intervals (1 open), 0.5 s at the longest: crash 1.2 s`."""
    causes = ", ".join(f"{cause} {seconds:.3g} s" for cause, seconds in blocked.by_cause.items())
    left = f" ({blocked.open} open)" if blocked.open else ""
    many = "intervals" if blocked.intervals > 1 else "interval"
    longest = f", {blocked.longest_s:.3g} s at the longest" if blocked.intervals > 1 else ""
    return f"{blocked.total_s:.3g} s in {blocked.intervals:,} {many}{left}{longest}: {causes}"


def _conclusion(check: CheckResult) -> str:
    """Returns the verdict with its reason, unless the reason is printed below with its story."""
    told = check.verdict is Verdict.INVALID and check.story
    return f"{check.verdict}, see below" if told else f"{check.verdict}: {check.reason}"


def _crashes(crashes: tuple[CrashRecord, ...]) -> list[str]:
    if not crashes:
        return []
    lines = ["", "crashes"]
    lines += [f"  {crash.time_s:8.3f} s  {crash.node}  {_first_line(crash.why)}" for crash in crashes[:_CRASHES_SHOWN]]
    if len(crashes) > _CRASHES_SHOWN:
        lines.append(f"  … {len(crashes) - _CRASHES_SHOWN} more in result.json")
    raised = [crash for crash in crashes if crash.traceback]
    for crash in raised[:_TRACEBACKS_SHOWN]:
        lines += ["", f"{crash.node} at {crash.time_s:.3f} s:"]
        lines += [f"  {line}" for line in shortened(crash.traceback).splitlines()]
    return lines


def _findings(result: RunResult) -> list[str]:
    """Returns the reasons if there are several (the verdict's line has a single one), the stories, and the command."""
    lines: list[str] = []
    if len(result.reasons) > 1:
        lines += ["", "reasons", *(f"  {reason}" for reason in result.reasons)]
    for check in result.checks:
        if check.verdict is Verdict.INVALID and check.story:
            lines += ["", f"{check.name}:", *(f"  {line}" for line in check.story)]
    if result.verdict is Verdict.INVALID and result.command:
        lines += ["", "to run it again:", f"  {result.command}"]
    return lines


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]
