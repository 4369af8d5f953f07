"""Executes one run: the engine drives it, the checkers read its files, and the result is written."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from framework.checking.models.catalog import Models
from framework.checking.monitors import Watch
from framework.checking.verdict import CheckResult
from framework.core.errors import RAISED, ConfigError, PluginError
from framework.core.time import SECOND
from framework.core.tracebacks import error_line, place, plugin_raised
from framework.engine.base import Engine, EngineResult, Experiment, Progress
from framework.engine.tally import Tally
from framework.registry.specs import CheckerSpec
from framework.runs import folder, invariants, recovery
from framework.runs.convergence import settling
from framework.runs.interrupts import Interrupts
from framework.runs.judgement import judge, run_checkers, undecided
from framework.runs.result import RunResult, build_result
from framework.trace.reader import Run, open_run

if TYPE_CHECKING:
    from framework.checking.finished_run import FinishedRun
    from framework.checking.history.calls import Calls

_PROGRESS_EVERY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The complete input of one run. `experiment.run_dir` is claimed already and holds config.yaml.

    `hook` has the listeners of the lifecycle hooks (a pluggy relay, or None for no listeners). `command` is the command
    line that repeats the run; `began` the start of the present command, on `time.time()`. With `scratch` the folder is
    about to be deleted, and result.json is not written.
    """

    experiment: Experiment
    config: Mapping[str, Any]
    engine: str
    checkers: Sequence[tuple[CheckerSpec, Any]]
    models: Models = field(default_factory=Models)
    hook: Any = None
    command: str = ""
    began: float = field(default_factory=time.time)
    scratch: bool = False


def execute(plan: Plan, engine: Engine, show: Progress, checking: Callable[[], None] = lambda: None) -> RunResult:
    """Runs `plan` and writes result.json, even if it is interrupted or the engine fails.

    `show` is called as the run proceeds, and at once if the engine gives up; `checking` when it has ended and the
    checkers start. Raises ConfigError or PluginError if the engine refuses the experiment, which leaves no folder
    behind, or if result.json cannot be written.
    """
    experiment = plan.experiment
    listeners = _Listeners(plan.hook, experiment)
    with Interrupts() as interrupts:
        listeners.call("run_started", config=dict(plan.config))
        watched = _Watched(show, listeners)
        try:
            ended, details = _drive(engine, experiment, watched, interrupts)
        except (ConfigError, PluginError):
            folder.release(experiment.run_dir)
            raise
        if ended.failure:
            show(int(ended.virtual_s * SECOND), Tally(stage=f"the engine gave up: {ended.failure}"))
        checking()
        opened = cache(lambda: open_run(experiment.run_dir))
        checks, failed = _check(plan, ended, opened, interrupts)
        doubts, doubted = _doubts(experiment, ended, opened, interrupts)
        watch = _watch(experiment, ended, opened, interrupts)
        convergence, uncompared = settling(experiment.protocol, ended)
        promises = [*invariants.conclusions(watch, opened), *convergence]
        result = build_result(
            experiment,
            plan.engine,
            ended,
            judge(experiment, ended, checks, doubts, promises),
            (*checks, *promises),
            command=plan.command,
            began=plan.began,
            details={
                **details,
                **failed,
                **doubted,
                **invariants.details(watch),
                **uncompared,
                **recovery.unchecked(experiment),
                **_described(experiment),
            },
        )
        if not plan.scratch:
            _write_result(result, experiment.run_dir)
        listeners.call("run_finished", result=msgspec.to_builtins(result, enc_hook=str))
    return result


def _write_result(result: RunResult, run_dir: Path) -> None:
    """Writes result.json. Raises ConfigError, which contains the verdict, if it cannot be written."""
    try:
        folder.write_atomically(run_dir / folder.RESULT, result.to_json())
    except ConfigError as error:
        raise ConfigError(error.where, f"{error.what}, verdict: {result.summary}", error.fix) from error


def _drive(
    engine: Engine, experiment: Experiment, watched: _Watched, interrupts: Interrupts
) -> tuple[EngineResult, dict[str, Any]]:
    """Runs the engine. If it raises, builds a result from its last progress report."""
    try:
        with interrupts.allowed():
            return engine.run(experiment, watched), {}
    except (ConfigError, PluginError) as error:
        if not watched.begun:
            raise
        return watched.cut_off(failure=str(error)), {}
    except KeyboardInterrupt:
        return watched.cut_off(interrupted=True), {}
    except RAISED as error:  # a failed engine must not cost the run's files
        failure = f"{error_line(error)} ({place(error)})"
        return watched.cut_off(failure=failure), {"failure_traceback": traceback.format_exc()}


def _check(
    plan: Plan, ended: EngineResult, opened: Callable[[], Run], interrupts: Interrupts
) -> tuple[list[CheckResult], dict[str, Any]]:  # fmt: skip
    """Returns the checkers' conclusions and the tracebacks of failed checkers; none without a history.

    If virtual time stood still, no checker runs: the history grew at one instant, where any order of its operations is
    possible, and a search might take hours.
    """
    if plan.experiment.trace == "none" or not plan.checkers:
        return [], {}
    names = ", ".join(spec.name for spec, _ in plan.checkers)
    if ended.stalled:
        return [undecided(names, "not run, because virtual time stood still")], {}
    try:
        with interrupts.allowed():
            checks, failures = run_checkers(plan.checkers, _finished_run(plan, ended, opened))
            return checks, {"checker_tracebacks": failures} if failures else {}
    except KeyboardInterrupt:
        return [undecided(names, "interrupted while checking")], {}
    except ConfigError as error:
        return [undecided(names, f"the history cannot be read ({error})")], {}
    except Exception as error:
        failures = {names: traceback.format_exc()}
        reason = f"the history cannot be read ({error_line(error)}, {place(error)})"
        return [undecided(names, reason)], {"checker_tracebacks": failures}


def _watch(
    experiment: Experiment, ended: EngineResult, opened: Callable[[], Run], interrupts: Interrupts
) -> Watch | None:  # fmt: skip
    """Returns the result of the protocol's invariants."""
    try:
        with interrupts.allowed():
            return invariants.watched(experiment, ended, opened)
    except KeyboardInterrupt:
        return Watch((), 0, failures={"invariants": "interrupted"})


def _doubts(
    experiment: Experiment, ended: EngineResult, opened: Callable[[], Run], interrupts: Interrupts
) -> tuple[list[str], dict[str, Any]]:  # fmt: skip
    """Returns the doubts that a second run raises about the first, if one is configured and the first was complete; and
    details if the second failed."""
    asked = getattr(experiment.engine_config, "verify_determinism", False)
    if not asked or ended.interrupted or ended.failure:
        return [], {}
    from framework.runs.determinism import doubt_about

    try:
        with interrupts.allowed():
            doubt = doubt_about(opened, ended.digest)
    except KeyboardInterrupt:
        doubt = "interrupted while its determinism was verified"
    except Exception as error:
        doubt = f"its determinism cannot be verified: {error_line(error)} ({place(error)})"
        return [doubt], {"determinism_traceback": traceback.format_exc()}
    return [doubt] if doubt else [], {}


def _finished_run(plan: Plan, ended: EngineResult, opened: Callable[[], Run]) -> FinishedRun:
    """Returns the run as checkers see it. Raises ConfigError if its history is damaged."""
    from framework.checking.finished_run import FinishedRun

    return FinishedRun(
        history=_calls(opened),
        replicas={} if ended.settled is None else ended.settled.replica_states,
        ledger=ended.ledger,
        config=plan.config,
        models=plan.models,
        final_at=ended.final_at,
        open_trace=opened,
    )


def _calls(opened: Callable[[], Run]) -> Calls:
    """Returns the run's history. Raises ConfigError if it is damaged."""
    from framework.checking.history.calls import RecordedCalls
    from framework.runs.operation_endings import endings_of

    run = opened()
    calls = RecordedCalls(run.history_batches, partial(endings_of, run))
    len(calls)  # reads the whole file once, so that damage is found before any checker runs
    return calls


def _described(experiment: Experiment) -> dict[str, Any]:
    """Returns what the network says of itself, if anything; of a `describe` that raises, what it raised."""
    try:
        described = experiment.make_network().describe()
        told = {str(name): str(text) for name, text in described.items()}
    except RAISED as error:
        return {
            "network": str(
                plugin_raised(f"network={experiment.network.name}", "describe", error, experiment.network.model)
            )
        }
    return {"network": told} if told else {}


class _Listeners:
    """The plugins that listen to the run. A failure is reported once; it stops neither the run nor other plugins."""

    def __init__(self, hook: Any, experiment: Experiment) -> None:
        self._hook = hook
        self._run_dir = experiment.run_dir
        self._failed: set[tuple[str, str]] = set()

    def call(self, name: str, **arguments: Any) -> None:
        """Calls the hook `name` of each plugin separately, the last registered first, as pluggy does."""
        given = {"run_dir": self._run_dir, **arguments}
        for listener in () if self._hook is None else reversed(getattr(self._hook, name).get_hookimpls()):
            if (listener.plugin_name, name) in self._failed:
                continue
            try:
                listener.function(**{argument: given[argument] for argument in listener.argnames})
            except RAISED as error:
                self._failed.add((listener.plugin_name, name))
                failed = plugin_raised(f"plugin {listener.plugin_name}", name, error, listener.function)
                print(f"warning: {failed}", file=sys.stderr)


class _Watched:
    """Passes the engine's progress on: to the screen at once, to the listeners once a second."""

    def __init__(self, show: Progress, listeners: _Listeners) -> None:
        self._show = show
        self._listeners = listeners
        self.begun = False
        self._time, self._tally = 0, Tally()
        self._began = self._told = time.monotonic()

    def __call__(self, now: int, tally: Tally) -> None:
        if tally.stage:
            self._show(now, tally)
            return
        self.begun = True
        self._time, self._tally = now, tally
        self._show(now, tally)
        if time.monotonic() - self._told >= _PROGRESS_EVERY_S:
            self._told = time.monotonic()
            operations = tally.ok + tally.fail + tally.unknown
            self._listeners.call("run_progress", time=now, operations=operations)

    def cut_off(self, *, interrupted: bool = False, failure: str = "") -> EngineResult:
        """Returns a result from the last progress report, for a run whose engine did not return."""
        return EngineResult(
            tally=self._tally,
            crashes=(),
            wall_s=time.monotonic() - self._began,
            virtual_s=self._time / 1e9,
            measured_s=0.0,
            digest=None,
            interrupted=interrupted,
            failure=failure,
        )
