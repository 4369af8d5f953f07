"""`python -m framework.shrink RUN [--budget 60s|TRIES] [--seeds N]`: a smaller run that fails in the same way.

Makes a simulated run that was invalid smaller in every dimension that it can (duration, faults, nodes, clients, network,
operations, settings), trying a few seeds at each, and writes what is left as an experiment; a second time it goes on from
there. Exit code 0 when that is
done, 2 if there is nothing to shrink (it says why).
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("framework.shrink")

import argparse
import operator
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from framework.console.command import Parser, duration, number, whole
from framework.console.entry import carried_out
from framework.core.errors import ConfigError, PluginError
from framework.core.time import SECOND

if TYPE_CHECKING:
    from framework.reduction.trial import Trial, Trials
    from framework.trace.reader import Run

DONE, CANNOT = 0, 2
_DAY_S = 86_400.0


def main(argv: Sequence[str]) -> int:
    """The exit code of the command with these arguments."""
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
    """Seconds, and runs if it is these that are counted."""
    if runs := number(text):
        return _DAY_S, runs
    span = duration(text)
    if not span:
        raise argparse.ArgumentTypeError("nothing can be found in no time. Write 60s, or 200 for runs")
    return span / SECOND, None


def _shrink(folder: str, seconds: float, tries: int | None, seeds: int) -> int:
    from framework.config.saved import saved_plugin_paths
    from framework.reduction.search import Search
    from framework.reduction.trial import Trials
    from framework.reduction.written import defaults_of, write_experiment
    from framework.registry.registry import load
    from framework.trace.reader import open_run

    run = open_run(folder)
    _check(run)
    registry = load(saved_plugin_paths(run.config))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="synod-shrink-") as place:
        trials = Trials(registry, Path(place), began + seconds)
        first = trials.run(run.config, int(run.config["seed"]))
        if first is None or not first.kinds:
            raise _not_again(run, first)
        name = f"{str(run.config.get('experiment') or first.result.experiment).replace('/', '_')}_shrunk"
        path = run.folder / "shrunk" / "experiment" / f"{name}.yaml"
        earlier = _earlier(path, name, trials, first)
        search = Search(trials, first, earlier or first, defaults_of(registry), seeds, tries)
        finished = search.run(_show)
        best = search.best
        if best is not earlier:
            why = f"Shrunk from {run.folder}.\n" + " ".join(best.result.reasons[0].split())
            path = write_experiment(best.config, registry, run.folder / "shrunk", name, why)
        confirmed = _confirm(path, name, best)
    _tell(first, confirmed)
    spent = f"{trials.count:,} runs in {time.monotonic() - began:.0f} s"
    cut = "interrupted" if trials.interrupted else "the budget is spent"
    print(f"\n{spent}; {'nothing can be made smaller any more' if finished else cut}")
    print(f"experiment: {path}{_beside(earlier, best)}")
    command = ["python", "-m", "framework.run", f"experiment={name}", "--config-dir", str(run.folder / "shrunk")]
    print(f"to see it:  {shlex.join(command)}")
    return DONE


def _check(run: Run) -> None:
    """ConfigError unless it is a simulated run that was invalid."""
    from framework.redrive.whole import is_simulated

    if not is_simulated(run):
        raise ConfigError(
            str(run.folder), "was no simulated run, and only these can be shrunk", "Find it with engine=sim."
        )
    verdict = run.result.get("verdict", "unknown")
    if verdict != "invalid":
        raise ConfigError(str(run.folder), f"its verdict is {verdict}: there is no failure to keep", "")


def _earlier(path: Path, name: str, trials: Trials, first: Trial) -> Trial | None:
    """What was found before and stands at `path`, if it still fails as the run does, and took no more than that."""
    from framework.config.compose import compose

    if not path.exists():
        return None
    try:
        config = compose([f"experiment={name}"], str(path.parent.parent)).config
    except (ConfigError, PluginError):
        trial = None
    else:
        trial = trials.run(config, int(config["seed"]))
    if trial is None or not trial.kinds & first.kinds or any(map(operator.gt, trial.amounts, first.amounts)):
        raise ConfigError(str(path), "stands there and does not fail as the run does", "Move it away to begin anew.")
    print(f"goes on from {path}", file=sys.stderr, flush=True)
    return trial


def _beside(earlier: Trial | None, best: Trial) -> str:
    if earlier is None:
        return ""
    return " (as it was: nothing smaller was found)" if best is earlier else " (smaller than it was)"


def _not_again(run: Run, first: Trial | None) -> ConfigError:
    if first is None:
        return ConfigError(str(run.folder), "cannot be run again within the budget", "Give it more: --budget 10m.")
    command = f"python -m framework.replay {shlex.quote(str(run.folder))}"
    return ConfigError(
        str(run.folder), f"is {first.result.verdict} when it is run again", f"See where it differs: {command}."
    )


def _confirm(path: Path, name: str, best: Trial) -> Trial:
    """The experiment that was written, run with a full trace; ConfigError unless it fails as the best trial did."""
    from framework.config.compose import compose
    from framework.reduction.trial import Trials

    composed = compose([f"experiment={name}"], str(path.parent.parent))
    seed = int(best.config["seed"])
    with tempfile.TemporaryDirectory(prefix="synod-shrink-") as place:
        trials = Trials(composed.registry, Path(place), time.monotonic() + _DAY_S)
        again, traced = trials.run(composed.config, seed), trials.run(composed.config, seed, "full")
    if again is None or traced is None or again.result.digest != best.result.digest:
        raise ConfigError(str(path), "does not fail as what was found did", "This is a mistake of framework.shrink.")
    return traced


def _show(dimension: str, best: Trial) -> None:
    operations, _, steps = best.amounts
    size = f"nodes {best.config['nodes']}, clients {best.config['clients']}, duration {best.config['duration']}"
    print(f"smaller: {dimension}  ({size}, operations {operations:,}, steps {steps:,})", file=sys.stderr, flush=True)


def _tell(first: Trial, best: Trial) -> None:
    from framework.console.shrunk import of_both, story_of

    for line in (*of_both(first, best), "", *story_of(best)):
        print(line)
