"""The smallest experiment that was found, as a file: written whenever one is found, so that nothing loses it."""

from __future__ import annotations

import operator
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from framework.config.compose import compose
from framework.core.errors import ConfigError, PluginError
from framework.registry.registry import Registry
from framework.runs.determinism import own_environment
from framework.runs.folder import RESULT
from framework.runs.result import RunResult
from framework.runs.shared_state import cause
from framework.shrink.experiment_file import write_experiment
from framework.shrink.trial import Trial, Trials, kinds
from framework.trace.reader import Run


class Kept:
    """`experiment=NAME --config-dir FOLDER`: the smallest run known that fails as `first` does, which is `run`
    again."""

    def __init__(self, run: Run, first: Trial, registry: Registry) -> None:
        self.name = f"{str(run.config.get('experiment') or first.result.experiment).replace('/', '_')}_shrunk"
        self.folder = run.folder / "shrunk"
        self.path = self.folder / "experiment" / f"{self.name}.yaml"
        self._run, self._first, self._registry = run, first, registry
        self._before = self.path.read_bytes() if self.path.exists() else None

    def earlier(self, trials: Trials) -> Trial | None:
        """What was found before, if anything was. ConfigError unless it fails as the run does, and takes no more than
        that."""
        if self._before is None:
            return None
        try:
            config = compose([f"experiment={self.name}"], str(self.folder), self._registry).config
            trial = trials.taken(config, int(config["seed"]))
        except (ConfigError, PluginError):
            trial = None
        if (
            trial is None
            or not trial.kinds & self._first.kinds
            or any(map(operator.gt, trial.amounts, self._first.amounts))
        ):
            raise ConfigError(
                str(self.path), "stands there and does not fail as the run does", "Move it away to begin anew."
            )
        return trial

    def write(self, best: Trial) -> None:
        """`best` is what is kept from now on. ConfigError when it cannot be written."""
        why = f"Shrunk from {self._run.folder}.\n" + " ".join(best.result.reasons[0].split())
        write_experiment(best.config, self._registry, self.folder, self.name, why)

    def confirmed(self, best: Trial, shared: list[str]) -> Trial:
        """The experiment as anyone else runs it: in a process of its own, with a full trace.

        If it is not as `best` was, what stood there before is there again, and ConfigError says why; `shared` are the
        variables that a run changes for those after it.
        """
        with tempfile.TemporaryDirectory(prefix="synod-shrink-") as place:
            run_dir = Path(place) / "run"
            words = [
                f"experiment={self.name}",
                "--config-dir",
                str(self.folder),
                f"run.dir={run_dir}",
                "trace=full",
                "--quiet",
            ]
            command = [sys.executable, "-P", "-m", "framework.run", *words]
            ended = subprocess.run(  # of its own session: a Ctrl-C is this process's business
                command, capture_output=True, text=True, env=own_environment(), start_new_session=True, check=False
            )
            if not (run_dir / RESULT).exists():
                last = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
                raise ConfigError(str(self.path), f"cannot be run in a process of its own ({last})", "")
            result = msgspec.json.decode((run_dir / RESULT).read_bytes(), type=RunResult)
        alone = Trial(best.config, result, kinds(result))
        if alone.is_same(best):
            return alone
        if self._before is None:
            self.path.unlink()
        else:
            self.path.write_bytes(self._before)
        raise depends(str(self._run.folder), "what was found is another run in a process of its own", shared)


def depends(where: str, what: str, shared: list[str]) -> ConfigError:
    """A run that depends on those that its process took before."""
    return ConfigError(where, what, f"{cause(shared)}.")
