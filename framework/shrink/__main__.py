"""`python -m framework.shrink RUN [--budget 60s|TRIES] [--seeds N]`: a smaller run that fails in the same way.

Makes an invalid simulated run smaller in every possible dimension (duration, faults, nodes, clients, network,
operations, settings), trying a few seeds at each. The smallest run so far is kept as an experiment, at whatever point
the search ends; a later search continues from there. Exit code 0 when that is done, 2 if there is nothing to shrink
(the output says why).
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports, so that their exceptions are reported too
    from framework.console.entry import run_as_command

    run_as_command("framework.shrink.__main__")

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from framework.console.command import Parser, duration, number, whole
from framework.console.entry import carried_out
from framework.core.command_line import command_line
from framework.core.errors import ConfigError
from framework.core.time import SECOND

if TYPE_CHECKING:
    from framework.shrink.trial import Trial
    from framework.trace.reader import Run

DONE, CANNOT = 0, 2
_DAY_S = 86_400.0


def main(argv: Sequence[str]) -> int:
    """Runs the command with these arguments; returns its exit code."""
    return carried_out(lambda: _asked(_parser().read(argv)))


def _asked(asked: argparse.Namespace) -> int:
    seconds, tries = asked.budget
    return _shrink(asked.run, seconds, tries, asked.seeds)


def _parser() -> Parser:
    parser = Parser("framework.shrink", "Finds a smaller run that fails in the same way.")
    parser.add_argument("run", metavar="RUN", help="the folder of a simulated run that was invalid")
    parser.add_argument(
        "--budget", type=_budget, default="60s", help="how long (60s, 5m), or how many runs (200); default: %(default)s"
    )
    parser.add_argument(
        "--seeds", type=whole, default=8, help="seeds to try at each smaller config; default: %(default)s"
    )
    return parser


def _budget(text: str) -> tuple[float, int | None]:
    """Parses a budget: seconds, and the number of runs if runs are counted (None: they are not)."""
    if runs := number(text):
        return _DAY_S, runs
    span = duration(text)
    if not span:
        raise argparse.ArgumentTypeError("nothing can be found in no time. Write 60s, or 200 for runs")
    return span / SECOND, None


def _shrink(folder: str, seconds: float, tries: int | None, seeds: int) -> int:
    from framework.config.saved import recompose, saved_plugin_paths
    from framework.registry.registry import load
    from framework.runs.shared_state import changed, variables_of
    from framework.shrink.experiment_file import defaults_of
    from framework.shrink.search import ShrinkSearch
    from framework.shrink.smallest import Kept, depends
    from framework.shrink.trial import Trials
    from framework.trace.reader import open_run

    run = open_run(folder)
    _check(run)
    registry = load(saved_plugin_paths(run.config))
    experiment = recompose(run.config, str(run.folder / "config.yaml"), registry).experiment
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="synod-shrink-") as place, Trials(registry, Path(place)) as trials:
        before = variables_of(experiment)
        first = trials.taken(run.config, experiment.seed)
        shared = changed(before, variables_of(experiment))
        if not first.kinds:
            raise _not_again(run, first)
        if not trials.taken(run.config, experiment.seed).is_same(first):
            raise depends(str(run.folder), "is another run when one process takes it a second time", shared)
        kept = Kept(run, first, registry)
        earlier = kept.earlier(trials)
        if earlier is None:
            kept.write(first)
        else:
            print(f"continues from {kept.path}", file=sys.stderr, flush=True)

        def smaller(dimension: str, best: Trial) -> None:
            kept.write(best)
            _show(dimension, best)

        trials.deadline = time.monotonic() + seconds
        search = ShrinkSearch(trials, first, earlier or first, defaults_of(registry), seeds, tries)
        finished = search.run(smaller)
        interrupted, took_s = trials.interrupted, time.monotonic() - began
    _tell(first, kept.confirmed(search.best, shared))
    cut = "interrupted" if interrupted else "the budget is spent"
    print(f"\n{trials.count:,} runs in {took_s:.0f} s; {'nothing can be made smaller any more' if finished else cut}")
    print(f"experiment: {kept.path}{_beside(earlier, search.best)}")
    command = command_line("framework.run", f"experiment={kept.name}", "--config-dir", str(kept.folder))
    print(f"to see it:  {command}")
    return DONE


def _check(run: Run) -> None:
    """Raises ConfigError unless the run is a simulated one that was invalid."""
    from framework.replay.sim_replay import is_simulated

    if not is_simulated(run):
        raise ConfigError(
            str(run.folder), "was no simulated run, and only these can be shrunk", "Find it with engine=sim."
        )
    verdict = run.result.get("verdict", "unknown")
    if verdict != "invalid":
        raise ConfigError(str(run.folder), f"its verdict is {verdict}: there is no failure to keep", "")


def _beside(earlier: Trial | None, best: Trial) -> str:
    if earlier is None:
        return ""
    return " (as it was: nothing smaller was found)" if best is earlier else " (smaller than it was)"


def _not_again(run: Run, first: Trial) -> ConfigError:
    command = command_line("framework.replay", str(run.folder))
    return ConfigError(
        str(run.folder), f"is {first.result.verdict} when it is run again", f"See where it differs: {command}."
    )


def _show(dimension: str, best: Trial) -> None:
    operations, _, steps, _ = best.amounts
    size = f"nodes {best.config['nodes']}, clients {best.config['clients']}, duration {best.config['duration']}"
    print(f"smaller: {dimension}  ({size}, operations {operations:,}, steps {steps:,})", file=sys.stderr, flush=True)


def _tell(first: Trial, best: Trial) -> None:
    from framework.console.shrink_report import of_both, story_of

    for line in (*of_both(first, best), "", *story_of(best)):
        print(line)
