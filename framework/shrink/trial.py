"""A trial: one run of a config in the simulator, and the kinds of failure that it shows."""

from __future__ import annotations

import math
import operator
import re
import shutil
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from framework.checking.verdict import Verdict
from framework.config.saved import recompose
from framework.core.errors import ConfigError, PluginError
from framework.engine.tally import Tally
from framework.registry.registry import Registry
from framework.runs import folder
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult

_NAMES = re.compile(r"\b[nc]?\d+\b")


@dataclass(frozen=True)
class Trial:
    """A config (with its seed), its result, and the kinds of failure that it showed: empty if it did not fail."""

    config: dict[str, Any]
    result: RunResult
    kinds: frozenset[str]

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        """The numbers of operations, strikes of faults, steps and messages."""
        result = self.result
        operations, strikes = sum(result.operations.values()), sum(result.faults.values())
        return operations, strikes, result.steps, sum(result.messages.values())

    @property
    def size(self) -> tuple[int, ...]:
        """The order of runs by size: by steps, then by operations, strikes and messages."""
        operations, strikes, steps, messages = self.amounts
        return steps, operations, strikes, messages

    def is_same(self, other: Trial) -> bool:
        """Returns whether it is the same run, as far as different trace levels can show."""
        mine, theirs = self.result, other.result
        return (
            (self.kinds, self.amounts, mine.operations, mine.messages, mine.virtual_s)
            == (other.kinds, other.amounts, theirs.operations, theirs.messages, theirs.virtual_s)
        )  # fmt: skip

    def is_within(self, other: Trial) -> bool:
        """Returns whether none of the amounts is larger than in `other`."""
        return all(map(operator.le, self.amounts, other.amounts))


class Trials:
    """Runs configs in the folder `place`, until `deadline` on `time.monotonic()`. `count`: the number of runs.

    Inside the context, SIGINT and SIGTERM only set `interrupted`, both between runs and during one.
    """

    def __init__(self, registry: Registry, place: Path) -> None:
        self.deadline, self.count, self.interrupted = math.inf, 0, False
        self._registry, self._place = registry, place
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Trials:
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)
            }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, config: Mapping[str, Any], seed: int) -> Trial | None:
        """Runs the config with `seed`. Returns None if it cannot be run, or the time is over."""
        try:
            return self.taken(config, seed)
        except (ConfigError, PluginError, KeyboardInterrupt):
            return None

    def taken(self, config: Mapping[str, Any], seed: int) -> Trial:
        """Runs the config with `seed`. Raises ConfigError or PluginError if it cannot be run, KeyboardInterrupt if it
        was cut off."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.count += 1
        run_dir = self._place / str(self.count)
        tried: dict[str, Any] = {**config, "seed": seed, "trace": {"level": "history"}, "run": {"dir": str(run_dir)}}
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
        finally:
            shutil.rmtree(run_dir, ignore_errors=True)
        if result.interrupted:
            self.interrupted = self.interrupted or time.monotonic() < self.deadline
            raise KeyboardInterrupt
        return Trial({**config, "seed": seed}, result, kinds(result))

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True

    def _watch(self, now: int, tally: Tally) -> None:
        if time.monotonic() >= self.deadline:
            raise KeyboardInterrupt


def kinds(result: RunResult) -> frozenset[str]:
    """Returns the kinds of a run's failure, without names, numbers and times, which differ between runs of the same
    failure."""
    if result.verdict is not Verdict.INVALID:
        return frozenset()
    checks = {f"check {check.name}" for check in result.checks if check.verdict is Verdict.INVALID}
    crashes = {f"crash {_NAMES.sub('#', crash.why)}" for crash in result.crashes if crash.traceback}
    found = checks | crashes
    return frozenset(found or {_NAMES.sub("#", re.split(r" broken|[:;]", result.reasons[0])[0])})


def ended_at(result: RunResult) -> int:
    """Returns the time of the failure, in nanoseconds: the first exception, else the end of the run, where a broken
    invariant stops it."""
    raised = [crash.time_s for crash in result.crashes if crash.traceback]
    return round(min(raised, default=result.virtual_s) * 1e9)
