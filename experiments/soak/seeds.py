"""One seed after another in this process, and what is kept of each."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from framework.config.compose import Composed, compose
from framework.console.arguments import replay_command
from framework.core.errors import SynodError
from framework.core.tracebacks import error_line, place
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from framework.runs.shared_state import changed, variables_of
from framework.sweep.pool import results


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a seed: a line of the soak's file. `faults` counts strikes by kind, `took_s` is the whole seed's.

    `alone`: it is the outcome in a process of its own. It is `another` one then if it differs from that after other seeds
    in one process; `shared` are the variables of modules and classes that the run has changed.
    """

    seed: int
    verdict: str
    reasons: tuple[str, ...]
    operations: int
    faults: dict[str, int]
    sometimes: dict[str, int]
    took_s: float
    digest: str | None = None
    alone: bool = False
    another: bool = False
    shared: tuple[str, ...] = ()


@dataclass
class Course:
    """An experiment, composed once, to be run with any seed."""

    composed: Composed
    overrides: tuple[str, ...]

    @classmethod
    def of(cls, overrides: Sequence[str]) -> Course:
        """ConfigError or PluginError for what cannot be composed."""
        return cls(compose(list(overrides)), tuple(overrides))

    def run(self, seed: int) -> Outcome | None:
        """Runs one seed in a folder that is gone afterwards; None if the run was interrupted.

        An exception that nobody expected makes this seed unknown, and the command that runs it again keeps the traceback.
        """
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="synod-soak-") as folder:
            plan = Plan(
                experiment=replace(self.composed.experiment, seed=seed, run_dir=Path(folder)),
                config=self.composed.config,
                engine=self.composed.engine,
                checkers=self.composed.checkers,
                models=self.composed.models,
                command=self.command(seed),
            )
            try:
                result = execute(plan, engine_named(self.composed.engine), lambda now, tally: None)
            except SynodError:  # a mistake that every seed would meet
                raise
            except Exception as error:
                return _unexpected(seed, error, time.perf_counter() - began)
        return None if result.interrupted else _kept(result, time.perf_counter() - began)

    def alone(self, seed: int) -> Outcome | None:
        """The same, in a process that has taken no other run."""
        before = variables_of(self.composed.experiment)
        outcome = self.run(seed)
        shared = changed(before, variables_of(self.composed.experiment))
        return None if outcome is None else msgspec.structs.replace(outcome, alone=True, shared=tuple(shared))

    def command(self, seed: int) -> str:
        """What runs this seed again, with its folder and its full trace."""
        kept = [word for word in self.overrides if not word.startswith("trace=")]
        return replay_command(kept, None, seed)


def outcomes(course: Course, seeds: Sequence[int], processes: int) -> Iterator[Outcome]:
    """The outcomes of the seeds in their order. KeyboardInterrupt if one was interrupted."""
    here = processes == 1 or len(seeds) < 2
    yield from _whole(map(course.run, seeds) if here else _elsewhere(_run, course, seeds, processes))


def confirmed(course: Course, found: Sequence[Outcome]) -> Iterator[Outcome]:
    """The outcomes of the same seeds, each in a process of its own; they say whether they are others than `found`."""
    for before in found:
        (outcome,) = _whole(_elsewhere(_run_alone, course, [before.seed], processes=1))
        yield msgspec.structs.replace(outcome, another=_essence(before) != _essence(outcome))


def _essence(outcome: Outcome) -> tuple[Any, ...]:
    return outcome.verdict, outcome.operations, outcome.faults, outcome.digest


def _whole(found: Iterable[Outcome | None]) -> Iterator[Outcome]:
    for outcome in found:
        if outcome is None:
            raise KeyboardInterrupt
        yield outcome


def _elsewhere(
    work: Callable[..., Outcome | None], course: Course, seeds: Sequence[int], processes: int
) -> Iterator[Outcome | None]:
    calls = [(course.overrides, seed) for seed in seeds]
    with closing(results(work, calls, min(processes, len(seeds)))) as found:
        yield from found


_composed = cache(Course.of)  # a worker composes once for its whole life


def _run(overrides: tuple[str, ...], seed: int) -> Outcome | None:
    return _composed(overrides).run(seed)


def _run_alone(overrides: tuple[str, ...], seed: int) -> Outcome | None:
    return Course.of(overrides).alone(seed)


def _kept(result: RunResult, took_s: float) -> Outcome:
    return Outcome(
        seed=result.seed,
        verdict=str(result.verdict),
        reasons=result.reasons,
        operations=result.operations["ok"],
        faults=dict(sorted(_strikes(result).items())),
        sometimes=result.sometimes,
        took_s=round(took_s, 4),
        digest=result.digest,
    )


def _unexpected(seed: int, error: Exception, took_s: float) -> Outcome:
    return Outcome(
        seed=seed,
        verdict="unknown",
        reasons=(f"unexpected {error_line(error)} ({place(error)})",),
        operations=0,
        faults={},
        sometimes={},
        took_s=round(took_s, 4),
    )


def _strikes(result: RunResult) -> Counter[str]:
    """Strikes by kind and, where the ledger's details tell, by what they were: `partition bridge`, `disk full`."""
    strikes: Counter[str] = Counter()
    for entry in result.ledger:
        kind = entry["fault"].rpartition("/")[2]
        words = [detail.split(": ") for detail in entry.get("details", ())]
        for parts in words:
            strikes[f"{kind} {parts[1]}" if len(parts) == 3 else kind] += 1
        strikes[kind] += entry["fired"] - len(words)
    return +strikes
