"""`python -m framework.shrink RUN [--budget 60s|TRIES] [--seeds N]`: a smaller run that fails in the same way.

Makes a simulated run that was invalid smaller in every dimension that it can (duration, faults, nodes, clients, network,
operations, settings), trying a few seeds at each, and writes what is left as an experiment. Exit code 0 when that is
done, 2 if there is nothing to shrink (it says why).
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from framework.core.errors import ConfigError, PluginError
from framework.core.time import SECOND, parse_duration

if TYPE_CHECKING:
    from framework.reduction.trial import Trial
    from framework.trace.reader import Run

DONE, CANNOT = 0, 2
_DAY_S = 86_400.0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError("framework.shrink", message, "See python -m framework.shrink --help.")


def main(argv: Sequence[str]) -> int:
    """The exit code of the command with these arguments."""
    try:
        asked = _parser().parse_args(argv)
        return _shrink(asked.run, *_budget(asked.budget), asked.seeds)
    except (ConfigError, PluginError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return CANNOT


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m framework.shrink", description="Finds a smaller run that fails in the same way.")
    parser.add_argument("run", metavar="RUN", help="the folder of a simulated run that was invalid")
    parser.add_argument(
        "--budget", default="60s", help="how long (60s, 5m), or how many runs (200); default: %(default)s"
    )
    parser.add_argument(
        "--seeds", type=int, default=8, help="seeds to try at each smaller config; default: %(default)s"
    )
    return parser


def _budget(text: str) -> tuple[float, int | None]:
    """Seconds, and runs if it is these that are counted."""
    if text.isdigit() and int(text):
        return _DAY_S, int(text)
    try:
        span = parse_duration(text)
    except ValueError as error:
        raise ConfigError(
            "framework.shrink", f"--budget: {error}", "Write --budget 60s, or --budget 200 for runs."
        ) from error
    if not span:
        raise ConfigError("framework.shrink", "--budget: nothing can be found in no time", "Write --budget 60s.")
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
        search = Search(trials, first, defaults_of(registry), seeds, tries)
        finished = search.run(_show)
        best = search.best
        why = f"Shrunk from {run.folder}.\n" + " ".join(best.result.reasons[0].split())
        name = f"{str(run.config.get('experiment') or best.result.experiment).replace('/', '_')}_shrunk"
        path = write_experiment(best.config, registry, run.folder / "shrunk", name, why)
        confirmed = _confirm(path, name, best)
    _tell(first, confirmed)
    spent = f"{trials.count:,} runs in {time.monotonic() - began:.0f} s"
    cut = "interrupted" if trials.interrupted else "the budget is spent"
    print(f"\n{spent}; {'nothing can be made smaller any more' if finished else cut}")
    print(f"experiment: {path}")
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
