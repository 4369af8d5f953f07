"""The smallest experiment found so far, as a file. Written at every improvement, so that it cannot be lost."""

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
    """The smallest run known that fails as `first` does, kept as `experiment=NAME --config-dir FOLDER`. `first` is a
    repetition of `run`."""

    def __init__(self, run: Run, first: Trial, registry: Registry) -> None:
        self.name = f"{str(run.config.get('experiment') or first.result.experiment).replace('/', '_')}_shrunk"
        self.folder = run.folder / "shrunk"
        self.path = self.folder / "experiment" / f"{self.name}.yaml"
        self._run, self._first, self._registry = run, first, registry
        self._before = self.path.read_bytes() if self.path.exists() else None

    def earlier(self, trials: Trials) -> Trial | None:
        """Returns the result of an earlier search; None if there was none. Raises ConfigError unless it fails as the
        run does, without larger amounts."""
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
                str(self.path), "exists, but does not fail as the run does", "Move it away to start over."
            )
        return trial

    def write(self, best: Trial) -> None:
        """Keeps `best` from now on. Raises ConfigError if it cannot be written."""
        why = f"Shrunk from {self._run.folder}.\n" + " ".join(best.result.reasons[0].split())
        write_experiment(best.config, self._registry, self.folder, self.name, why)

    def confirmed(self, best: Trial, shared: list[str]) -> Trial:
        """Returns the experiment as a user would run it: in a process of its own, with a full trace.

        If that differs from `best`, restores the earlier file and raises ConfigError, which says why. `shared`: the
        variables by which a run affects later ones.
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
            ended = subprocess.run(  # a session of its own: Ctrl-C is handled by this process
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
    """Returns the error for a run that depends on earlier runs of its process."""
    return ConfigError(where, what, f"{cause(shared)}.")
