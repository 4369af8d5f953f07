"""Runs one protocol seed after seed until something finds it wrong."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.checking.verdict import Verdict
from framework.config.compose import compose
from framework.runs.commands import replay_command
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult

CONFIGS = "experiments/planted_bugs/conf"
"""Where the experiments stand that mutants are put through, seen from the repository's root."""

OWN_ASSERTION = "its own assertion"
NO_PROGRESS = "progress"


@dataclass(frozen=True)
class Catch:
    """A run that was invalid: its seed, what said so, why, and the command that takes it again."""

    seed: int
    by: str
    reason: str
    command: str


@dataclass(frozen=True)
class Hunt:
    """Seeds tried one after another: the last is the one that was caught, if any was. `seconds` is what it took."""

    tried: int
    unknown: int
    seconds: float
    catch: Catch | None


class Ground:
    """One protocol under one experiment, composed once and run for any seed."""

    def __init__(
        self, experiment: str, protocol: str, overrides: Sequence[str] = (), config_dir: str = CONFIGS
    ) -> None:
        self.overrides, self.config_dir = (f"experiment={experiment}", f"protocol={protocol}", *overrides), config_dir
        self.composed = compose([*self.overrides, "trace=history"], config_dir)
        self._engine = engine_named(self.composed.engine)

    def command(self, seed: int) -> str:
        """What a person types to take that run again, and keep it."""
        return replay_command(self.overrides, self.config_dir, seed)

    def run(self, seed: int, folder: Path) -> RunResult:
        """One run, kept in `folder`."""
        composed = self.composed
        folder.mkdir(parents=True)
        plan = Plan(
            experiment=dataclasses.replace(composed.experiment, seed=seed, run_dir=folder),
            config=composed.config,
            engine=composed.engine,
            checkers=composed.checkers,
            models=composed.models,
            command=self.command(seed),
        )
        return execute(plan, self._engine, lambda now, tally: None)

    def hunt(self, seeds: Iterable[int]) -> Hunt:
        """Tries `seeds` until a run is invalid."""
        tried = unknown = 0
        began = time.perf_counter()
        catch = None
        with tempfile.TemporaryDirectory(prefix="planted-bugs-") as scratch:
            for seed in seeds:
                folder = Path(scratch) / "run"
                result = self.run(seed, folder)
                shutil.rmtree(folder)
                tried += 1
                unknown += result.verdict is Verdict.UNKNOWN
                if result.verdict is Verdict.INVALID:
                    catch = Catch(seed, caught_by(result), result.reasons[0], result.command)
                    break
        return Hunt(tried, unknown, time.perf_counter() - began, catch)


def caught_by(result: RunResult) -> str:
    """The checker or invariant behind the gravest reason of an invalid run."""
    reason = result.reasons[0]
    if any(crash.traceback and reason.startswith(f"{crash.node} crashed") for crash in result.crashes):
        return OWN_ASSERTION
    if reason.startswith("no progress"):
        return NO_PROGRESS
    return reason.partition(":")[0]
