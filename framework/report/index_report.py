"""The index of a folder of runs: a page with a row for each run and sweep, two of which can be compared."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from framework.core.command_line import command_line
from framework.core.errors import ConfigError
from framework.core.tracebacks import one_line, printable
from framework.registry.registry import Registry, load
from framework.report.document import write_page
from framework.report.links import link_to_report
from framework.report.run_list import VERDICTS, ListedRun, listed_runs
from framework.report.run_report import REPORT
from framework.trace.history import history_files
from framework.trace.operations import curve_data
from framework.trace.reader import open_run

INDEX = "index.html"
MOST_REASONS = 20
"""The most reasons of a run that the page shows."""
CURVE_BINS = 60
MOST_CURVES = 200
"""The most runs whose curves are in the page, the newest: about 300 kB."""
LONGEST_HISTORY = 8 << 20
"""The most bytes of a history that is read for curves, a second's work."""


def write_index(folder: Path, target: Path | None = None, registry: Registry | None = None) -> Path:
    """Writes the index of the runs below `folder`, and returns its path: `target`, or index.html in the folder.

    Raises ConfigError if there are none, or the page cannot be written.
    """
    runs = listed_runs(folder, load([]) if registry is None else registry)
    if not runs:
        example = command_line("framework.run", "experiment=raft_5nodes")
        raise ConfigError(str(folder), "holds no run and no sweep", f"Make a run with {example}.")
    path = folder / INDEX if target is None else target
    write_page(path, f"Runs in {printable(folder.name)}", "index.js", index_data(folder, runs, path))
    return path


def index_data(folder: Path, runs: Sequence[ListedRun], page: Path) -> dict[str, Any]:
    """Returns the data of the page at `page`: JSON values.

    A setting is shared unless it has another value in some run: `shared` has the most frequent value of each key, and
    the runs have those that differ from it, null for a setting that a run lacks.
    """
    shared = _most_frequent(runs)
    with_curves = {run.folder for run in [run for run in runs if run.kind == "run"][:MOST_CURVES]}
    counts = Counter(run.verdict for run in runs)
    return {
        "title": f"Runs in {printable(folder.name or str(folder))}",
        "subtitle": printable(str(folder)),
        "counts": [{"verdict": name, "runs": counts[name]} for name in VERDICTS if counts[name]],
        "shared": shared,
        "runs": [
            {**_row(folder, run, shared, page), **(_curves(run.folder) if run.folder in with_curves else _LEFT_OUT)}
            for run in runs
        ],
        "made": f"Synod · written {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}",
    }


_LEFT_OUT = {"curves": None, "no_curves": f"The page has the curves of the {MOST_CURVES} newest runs alone."}


def _curves(folder: Path) -> dict[str, Any]:
    """Returns `curves`, the throughput and latencies of a run over time; None, with the reason in `no_curves`, if they
    are not known, or would take long."""
    try:
        if sum(file.stat().st_size for file in history_files(folder)) > LONGEST_HISTORY:
            return {"curves": None, "no_curves": f"Its history is longer than {LONGEST_HISTORY >> 20} MiB."}
        curves = curve_data(open_run(folder).history, CURVE_BINS)
    except (ConfigError, OSError, ValueError) as error:
        return {"curves": None, "no_curves": f"Its history cannot be read ({one_line(str(error))})."}
    return {"curves": curves, "no_curves": "" if curves else "It has no history."}


def _most_frequent(runs: Sequence[ListedRun]) -> dict[str, str]:
    values: dict[str, Counter[str]] = {}
    for run in runs:
        if run.kind == "run":
            for key, value in run.settings.items():
                values.setdefault(key, Counter())[value] += 1
    return {key: min(counts, key=lambda value: (-counts[value], value)) for key, counts in values.items()}


def _row(folder: Path, run: ListedRun, shared: dict[str, str], page: Path) -> dict[str, Any]:
    own = {key: value for key, value in run.settings.items() if shared.get(key) != value}
    if run.settings:
        own |= dict.fromkeys(shared.keys() - run.settings.keys())  # type: ignore[arg-type]
    return {
        "name": printable(str(run.folder.relative_to(folder))),
        "kind": run.kind,
        "link": link_to_report(page, run.folder),
        "reported": (run.folder / REPORT).is_file(),
        "experiment": run.experiment,
        "engine": run.engine,
        "seed": run.seed,
        "verdict": run.verdict,
        "reasons": [run.reason, *run.reasons[1:MOST_REASONS]] if run.reasons else [],
        "started": run.started,
        "operations": run.operations or None,
        "throughput": run.throughput_ops_s,
        "latency": run.latency_ms or None,
        "differing": list(run.differing),
        "settings": {key: own[key] for key in sorted(own)},
    }
