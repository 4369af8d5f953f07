"""`python -m framework.export RUN --format FORMAT [--output PATH]`: a run in the format of another tool.

RUN is the folder of a run, finished, interrupted, killed or damaged: what is readable is exported, and a line on stderr
says what is not. The formats are

    perfetto  a timeline of steps, messages, operations and faults, for https://ui.perfetto.dev
    shiviz    events with vector clocks, for https://bestchai.bitbucket.io/shiviz/
    jepsen    the history in EDN, for Jepsen, Elle, Knossos, and framework.check
    parquet   a folder with events.parquet and history.parquet, payloads as JSON
    csv       the same as events.csv and history.csv

Without --output, the export is written into the run's folder. It appears under its name when it is complete, and an
existing file or folder is never overwritten. The last line on stdout is `export: PATH`. Exit code 0, or 2 if there is
nothing to export, or it cannot be written.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports, so that their errors are reported too
    from framework.console.entry import run_as_command

    run_as_command("framework.export.__main__")

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from framework.console.command import Parser, one_of
from framework.console.entry import carried_out, say

if TYPE_CHECKING:
    from framework.export.recorded_run import RecordedRun


class Format(NamedTuple):
    """A format: the name of its output in the run's folder, and the function that writes it and returns a summary."""

    output: str
    write: Callable[[RecordedRun, Path], str]


def main(argv: Sequence[str]) -> int:
    """Runs the command with these arguments; returns its exit code."""
    return carried_out(lambda: _export(_parsed(argv)), "interrupted before the export was complete")


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    described = str(__doc__).partition("`: ")[2]
    description = f"{described[0].upper()}{described[1:]}"
    parser = Parser("framework.export", description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "--format", required=True, metavar="FORMAT", type=one_of(FORMATS), help=f"one of: {', '.join(FORMATS)}"
    )
    outputs = ", ".join(known.output for known in FORMATS.values())
    parser.add_argument(
        "--output", metavar="PATH", type=Path, help=f"the file or folder to write; default: {outputs} in RUN"
    )
    return parser.read(argv)


def _export(asked: argparse.Namespace) -> int:
    from framework.export.output import new_output
    from framework.export.recorded_run import RecordedRun

    chosen = FORMATS[asked.format]
    recorded = RecordedRun(Path(asked.run))
    target: Path = asked.output or Path(asked.run) / chosen.output
    try:
        with new_output(target) as draft:
            summary = chosen.write(recorded, draft)
    finally:
        for warning in recorded.warnings:
            say(warning)
    print(summary)
    print(f"export: {target}")
    return 0


def _perfetto(recorded: RecordedRun, path: Path) -> str:
    from framework.export.perfetto import write_perfetto

    return write_perfetto(recorded, path)


def _shiviz(recorded: RecordedRun, path: Path) -> str:
    from framework.export.shiviz import write_shiviz

    return write_shiviz(recorded, path)


def _jepsen(recorded: RecordedRun, path: Path) -> str:
    from framework.export.jepsen import write_jepsen

    return write_jepsen(recorded, path)


def _parquet(recorded: RecordedRun, path: Path) -> str:
    from framework.export.tables import write_parquet

    return write_parquet(recorded, path)


def _csv(recorded: RecordedRun, path: Path) -> str:
    from framework.export.tables import write_csv

    return write_csv(recorded, path)


FORMATS = {
    "perfetto": Format("perfetto.pftrace", _perfetto),
    "shiviz": Format("shiviz.log", _shiviz),
    "jepsen": Format("history.edn", _jepsen),
    "parquet": Format("parquet", _parquet),
    "csv": Format("csv", _csv),
}
