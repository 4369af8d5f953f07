"""One try: a config run in the simulator, and the kinds of failure that it shows."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.config.saved import recompose
from framework.core.errors import ConfigError, PluginError
from framework.engine.base import Tally
from framework.registry.registry import Registry
from framework.runs import folder
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from framework.verify.verdict import Verdict

_NAMES = re.compile(r"\b[nc]?\d+\b")


@dataclass(frozen=True)
class Trial:
    """A config with its seed in it, how it went, and the kinds of failure that it showed: none if it did not fail."""

    config: dict[str, Any]
    result: RunResult
    kinds: frozenset[str]

    @property
    def amounts(self) -> tuple[int, int, int]:
        """How much happened: operations, strikes of faults, steps."""
        result = self.result
        return sum(result.operations.values()), sum(result.faults.values()), result.steps


class Trials:
    """Runs configs in the folder `place`, until `deadline` on `time.monotonic()`; `count` is how many were run."""

    def __init__(self, registry: Registry, place: Path, deadline: float) -> None:
        self.deadline, self.count, self.interrupted = deadline, 0, False
        self._registry, self._place = registry, place

    def run(self, config: Mapping[str, Any], seed: int, trace: str = "history") -> Trial | None:
        """The config run with `seed`; None if it cannot be, or the time is over. Stories may need a trace that is `full`."""
        self.count += 1
        run_dir = self._place / str(self.count)
        tried: dict[str, Any] = {**config, "seed": seed, "trace": {"level": trace}, "run": {"dir": str(run_dir)}}
        tried["engine"] = {**tried["engine"], "verify_determinism": False}
        try:
            composed = recompose(tried, "the smaller config", self._registry)
            plan = Plan(
                experiment=composed.experiment,
                config=tried,
                engine="sim",
                checkers=composed.checkers,
                models=composed.models,
            )
            folder.claim(run_dir)
            result = execute(plan, engine_named("sim"), self._watch)
        except (ConfigError, PluginError):
            return None
        finally:
            shutil.rmtree(run_dir, ignore_errors=True)
        if result.interrupted:
            self.interrupted = time.monotonic() < self.deadline
            return None
        return Trial({**config, "seed": seed}, result, kinds(result))

    def _watch(self, now: int, tally: Tally) -> None:
        if time.monotonic() >= self.deadline:
            raise KeyboardInterrupt


def kinds(result: RunResult) -> frozenset[str]:
    """What a run failed of, without the names, numbers and times that another run of the same failure has otherwise."""
    if result.verdict is not Verdict.INVALID:
        return frozenset()
    checks = {f"check {check.name}" for check in result.checks if check.verdict is Verdict.INVALID}
    crashes = {f"crash {_NAMES.sub('#', crash.why)}" for crash in result.crashes if crash.traceback}
    found = checks | crashes
    return frozenset(found or {_NAMES.sub("#", re.split(r" broken|[:;]", result.reasons[0])[0])})


def ended_at(result: RunResult) -> int:
    """When the failure showed, in nanoseconds: at the first exception, else at the end, where a broken invariant stops."""
    raised = [crash.time_s for crash in result.crashes if crash.traceback]
    return round(min(raised, default=result.virtual_s) * 1e9)
