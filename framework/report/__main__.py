"""`python -m framework.report PATH`: writes the report of a run into its folder, as one HTML file.

PATH is the folder of a run, finished, interrupted or damaged. The file loads nothing from anywhere: it opens by double
click, and can be sent to others. The last line on stdout is `report: FILE`. Exit code 0, or 2 if there is no run or the
report cannot be written.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports, so that their errors are reported too
    from framework.console.entry import run_as_command

    run_as_command("framework.report.__main__")

from collections.abc import Sequence
from pathlib import Path

from framework.console.command import Parser
from framework.console.entry import carried_out


def main(argv: Sequence[str]) -> int:
    """Runs the command with these arguments; returns its exit code."""
    return carried_out(lambda: _report(argv), "interrupted before the report was written")


def _report(argv: Sequence[str]) -> int:
    parser = Parser("framework.report", "Writes the report of a run as one self-contained HTML file.")
    parser.add_argument("path", metavar="PATH", help="the folder of a run")
    parser.add_argument("--output", metavar="FILE", help="the file to write; by default report.html in the folder")
    asked = parser.read(argv)
    from framework.report.run_report import write_run_report

    written = write_run_report(Path(asked.path), None if asked.output is None else Path(asked.output))
    print(f"report: {written}")
    return 0
