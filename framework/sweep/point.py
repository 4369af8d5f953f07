"""One run of a sweep, in a worker: composed once for all seeds, run in a scratch folder, reduced to its outcome."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from framework.checking.verdict import Verdict
from framework.config.compose import compose
from framework.config.resolve import Composed
from framework.core.errors import ConfigError, SynodError
from framework.core.message import Config
from framework.core.tracebacks import error_line, one_line
from framework.engine.base import Experiment
from framework.engine.sim.engine import settle_collector
from framework.runs import folder
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from framework.runs.shared_state import changed, variables_of
from framework.sweep.limits import limit_memory
from framework.sweep.rows import PointOutcome, RowStatus, outcome_of
from framework.sweep.tasks import Exhausted
from framework.trace.history import history_digest
from framework.trace.reader import open_run

_OUT_OF_MEMORY = re.compile(r"^(?:[\w.]*\.)?(?:Arrow)?MemoryError\b.*", re.MULTILINE)
"""Matches a MemoryError in the last line of a traceback, or at the beginning of a reason."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A run to take. `overrides` compose it, except for its seed; `memory` is the limit in bytes.

    `kept` is the folder to keep the run in ("": none). With `watched`, the run's changes to variables of modules and
    classes are reported; the worker must not have taken another run before.
    """

    number: int
    """The number of the point."""
    engine: str = "sim"
    """The engine of the sweep: a run of another engine is refused."""
    overrides: tuple[str, ...]
    config_dir: str | None
    seed: int
    command: str
    """The command that takes the run again."""
    memory: int | None = None
    kept: str = ""
    unless_valid: bool = False
    """Whether the folder is deleted if the run is valid."""
    watched: bool = False
    cpus: float | None = None
    """Processors to reserve for a run of the Ray engine; None: one for each node plus one, at most the cluster's."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The worker's report of a run that has ended.

    `config` is the composed config as YAML if the worker reports it for the first time, else "". `story` explains why
    the run is invalid. `shared` are the variables of modules and classes that it changed.
    """

    outcome: PointOutcome
    config: str = ""
    story: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def run_point(request: RunRequest) -> Finished | Exhausted:
    """Takes one run. If it raises or cannot be composed, the outcome has no verdict; KeyboardInterrupt propagates.

    Under a memory limit, a SystemError counts as a MemoryError: C code that fails to allocate may not report it.
    """
    began = time.perf_counter()
    try:
        base = _base(request.overrides, request.config_dir)
        if base.composed.engine != request.engine:
            raise ConfigError(f"engine={base.composed.engine}", f"the sweep has engine={request.engine}")
        limit_memory(request.memory)
        before = variables_of(base.composed.experiment) if request.watched else {}
        result = _run(base.composed, request)
    except (MemoryError, SystemError) as error:
        if isinstance(error, SystemError) and request.memory is None:
            raise
        error.__traceback__ = None
        return Exhausted(Finished(outcome=_without_verdict("memory", "MemoryError", "", time.perf_counter() - began)))
    except SynodError as error:
        return Finished(outcome=_without_verdict("failed", str(error), "", time.perf_counter() - began))
    except Exception as error:
        told = traceback.format_exc()
        return Finished(outcome=_without_verdict("failed", error_line(error), told, time.perf_counter() - began))
    if result.interrupted:
        raise KeyboardInterrupt
    took_s = time.perf_counter() - began
    if where := _memory_error(result):
        return Exhausted(Finished(outcome=_without_verdict("memory", where, "", took_s)))
    outcome = outcome_of(result, config=base.mark, took_s=took_s, machine=platform.node())
    shared = tuple(changed(before, variables_of(base.composed.experiment))) if request.watched else ()
    return Finished(outcome=outcome, config=base.first_config(), story=_story(result), shared=shared)


class _Base:
    """A composed experiment without its seed, and the hash of its config."""

    def __init__(self, overrides: tuple[str, ...], config_dir: str | None) -> None:
        self.composed: Composed = compose(list(overrides), config_dir)
        config = {key: value for key, value in self.composed.config.items() if key not in ("seed", "run")}
        self._yaml = folder.config_yaml(config)
        self.mark = hashlib.sha256(self._yaml.encode()).hexdigest()[:16]
        settle_collector()

    def first_config(self) -> str:
        """Returns the config as YAML on the first call, "" on later calls."""
        shown, self._yaml = self._yaml, ""
        return shown


@lru_cache(maxsize=8)
def _base(overrides: tuple[str, ...], config_dir: str | None) -> _Base:
    return _Base(overrides, config_dir)


def _run(composed: Composed, request: RunRequest) -> RunResult:
    with _folder_of(request) as run_dir:
        plan = plan_of(composed, request, run_dir)
        if request.kept:
            folder.write_config(run_dir, plan.config)
        result = execute(plan, engine_named(plan.engine), lambda now, tally: None)
        if composed.engine == "sim" and composed.experiment.trace == "full":
            digest = history_digest(open_run(run_dir).history_batches())
            result = msgspec.structs.replace(result, digest=digest)
        if request.unless_valid and result.verdict is Verdict.VALID:
            shutil.rmtree(run_dir)
        return result


def plan_of(composed: Composed, request: RunRequest, run_dir: Path) -> Plan:
    """Returns the run of a composed experiment with the request's seed, as if composed with that seed."""
    experiment = replace(composed.experiment, seed=request.seed, run_dir=run_dir)
    if composed.engine == "ray":
        experiment = replace(experiment, scheduling_config=_reserving(experiment, request.cpus))
    return Plan(
        experiment=experiment,
        config={**composed.config, "seed": request.seed, "run": {"dir": str(run_dir)}},
        engine=composed.engine,
        checkers=composed.checkers,
        models=composed.models,
        hook=composed.registry.hook,
        command=request.command,
        scratch=not request.kept,
    )


def _reserving(experiment: Experiment, cpus: float | None) -> Config:
    """Returns the scheduling config that reserves `cpus` processors in all, in Ray's units of 1/10,000."""
    import ray

    if cpus is None:
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus = min(len(experiment.nodes) + 1, there.get("CPU", 1.0))
    actors = -(-len(experiment.nodes) // int(experiment.engine_config.nodes_per_actor))
    each = max(int(cpus * 10_000 / actors), 1) / 10_000
    config: Config = msgspec.structs.replace(experiment.scheduling_config, cpus_per_actor=each)
    return config


@contextmanager
def _folder_of(request: RunRequest) -> Iterator[Path]:
    """Opens the run's folder: a scratch folder that is deleted on exit, or the folder to keep, emptied first."""
    if not request.kept:
        with tempfile.TemporaryDirectory(prefix="synod-point-") as scratch:
            yield Path(scratch)
        return
    kept = Path(request.kept)
    shutil.rmtree(kept, ignore_errors=True)
    yield folder.claim(kept)


def _without_verdict(status: RowStatus, reason: str, told: str, took_s: float) -> PointOutcome:
    return PointOutcome(
        status=status, reason=one_line(reason), traceback=told, took_s=round(took_s, 4), machine=platform.node()
    )


def _memory_error(result: RunResult) -> str:
    """Returns the MemoryError of a run, caught in the engine, a handler, a checker or an invariant; "" if none."""
    texts = [result.failure, *(crash.traceback for crash in result.crashes), *_texts(result.details)]
    texts += [check.reason.partition("failed: ")[2] for check in result.checks]
    found = (_OUT_OF_MEMORY.search(text) for text in texts)
    return next((match[0] for match in found if match is not None), "")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _texts(inner)


def _story(result: RunResult) -> tuple[str, ...]:
    """Returns the reasons and the evidence against an invalid run; empty for other runs."""
    if result.verdict is not Verdict.INVALID:
        return ()
    stories = [(check.name, check.story) for check in result.checks if check.verdict is Verdict.INVALID and check.story]
    told = [line for name, story in stories for line in (f"{name}:", *(f"  {step}" for step in story))]
    return (*result.reasons, *told)
