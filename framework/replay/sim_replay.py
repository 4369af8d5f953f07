"""Replays a simulated run from its config.yaml and compares it with its record."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framework.config.saved import recompose
from framework.core.errors import ConfigError
from framework.engine.base import EngineResult, Experiment, Progress
from framework.trace.difference import Difference, first_difference, until
from framework.trace.reader import Run, open_run


@dataclass(frozen=True)
class SimReplay:
    """A replayed run. `compared` describes the rows that were compared, "" if nothing was recorded. `engine` is the
    simulator with the nodes in their final state."""

    again: Run
    ended: EngineResult
    compared: str
    difference: Difference | None
    engine: Any


def saved_experiment(run: Run) -> Experiment:
    """Returns the experiment saved in a run folder. Raises ConfigError, PluginError."""
    return recompose(run.config, str(run.folder / "config.yaml")).experiment


def is_simulated(run: Run) -> bool:
    """Returns whether the run was made by the simulator."""
    engine = run.config.get("engine")
    return isinstance(engine, dict) and engine.get("name") == "sim"


def drive_again(
    run: Run,
    into: Path,
    *,
    stop: int | None = None,
    full: bool = False,
    progress: Progress = lambda now, tally: None,
) -> SimReplay:
    """Replays a simulated run, up to `stop` nanoseconds, and compares it. Its new files are written into `into`.

    `full` records every event even if the run did not. A run that was cut off is compared as far as it was recorded.
    Raises ConfigError, PluginError.
    """
    from framework.engine.sim.engine import SimEngine

    if not is_simulated(run):
        raise ConfigError(str(run.folder), "is not a simulated run", "Only engine=sim can drive a whole run again.")
    experiment = saved_experiment(run)
    level = experiment.trace
    engine = SimEngine(stop)
    driven = dataclasses.replace(experiment, run_dir=into, trace="full" if full else level)
    ended = engine.run(driven, progress)
    again = open_run(into)
    if level == "none":
        return SimReplay(again, ended, "", None, engine)
    recorded = run.result.get("digest")
    if stop is None and ended.digest is not None and ended.digest == recorded:
        what = "events" if level == "full" else "operations"
        return SimReplay(
            again, ended, f"{len(again.events if level == 'full' else again.history):,} {what}", None, engine
        )
    whole = stop is None and bool(recorded) and not run.result.get("interrupted")
    first, second = (_events if level == "full" else _history)(run, again, stop, whole)
    what = f"{len(second):,} {'events' if level == 'full' else 'operations'}"
    return SimReplay(again, ended, what, first_difference(first, second), engine)


def _events(run: Run, again: Run, stop: int | None, whole: bool) -> tuple[pa.Table, pa.Table]:
    """Returns both traces; unless they must be whole, up to the end of the shorter one or `stop`."""
    first, second = run.events, again.events
    if stop is not None:
        first, second = until(first, stop), until(second, stop)
    if not whole and stop is None:
        second = second.slice(0, len(first))
    return first, second


def _history(run: Run, again: Run, stop: int | None, whole: bool) -> tuple[pa.Table, pa.Table]:
    """Returns both histories; for runs that were cut off, only their completed operations."""
    first, second = run.history, again.history
    if whole:
        return first, second
    first, second = (table.filter(pc.is_valid(table["completed"])) for table in (first, second))
    if stop is not None:
        return tuple(table.filter(pc.less_equal(table["completed"], stop)) for table in (first, second))
    return first, second.slice(0, len(first))
