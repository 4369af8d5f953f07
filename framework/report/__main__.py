"""`python -m framework.report PATH`: writes the report of a run, of a sweep, or of a folder of runs as one HTML file.

PATH is the folder of a run (finished, interrupted or damaged) or of a sweep: its report is report.html in that folder,
and a sweep's kept runs that are not valid get theirs too. Any other folder gets an index.html of the runs and sweeps
below it. With two sweeps the report compares the second with the first. A file loads nothing from anywhere: it opens by
double click, and can be sent to others. The last line on stdout is `report: FILE`. Exit code 0, or 2 if there is no run
or the report cannot be written.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports, so that their errors are reported too
    from framework.console.entry import run_as_command

    run_as_command("framework.report.__main__")

from collections.abc import Sequence
from pathlib import Path

from framework.console.command import Parser
from framework.console.entry import carried_out
from framework.core.errors import ConfigError


def main(argv: Sequence[str]) -> int:
    """Runs the command with these arguments; returns its exit code."""
    return carried_out(lambda: _report(argv), "interrupted before the report was written")


def _report(argv: Sequence[str]) -> int:
    parser = Parser(
        "framework.report",
        "Writes the report of a run, of a sweep, or of a folder of runs as one self-contained HTML file.",
    )
    parser.add_argument("path", metavar="PATH", help="the folder of a run or a sweep, or a folder of such folders")
    parser.add_argument("other", metavar="SWEEP", nargs="?", help="a second sweep, to be compared with the first")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="the file to write; by default report.html in the folder, index.html in a folder of runs,"
        " comparison.html in the folder of the second sweep",
    )
    asked = parser.read(argv)
    target = None if asked.output is None else _target(asked.output)
    print(f"report: {_written(Path(asked.path), asked.other, target)}")
    return 0


def _target(text: str) -> Path:
    """Returns the file to write. Raises ConfigError if there is something else than a file."""
    path = Path(text)
    if not text or (path.exists() and not path.is_file()):
        raise ConfigError(f"--output {text!r}", "is not a file to write", "Give the name of an HTML file.")
    return path


def _written(path: Path, other: str | None, target: Path | None) -> Path:
    """Writes the report that fits what is there, and returns its path."""
    from framework.report.run_list import is_run, is_sweep

    if other is not None:
        from framework.report.comparison_report import write_comparison

        return write_comparison(path, Path(other), target)
    if is_sweep(path):
        from framework.report.sweep_report import write_sweep_report

        return write_sweep_report(path, target)
    if is_run(path) or not path.is_dir():
        from framework.report.run_report import write_run_report

        return write_run_report(path, target)
    from framework.report.index_report import write_index

    return write_index(path, target)
