"""Runs a sweep: hands out the missing points, stores their outcomes, and confirms the important ones.

Only the driver writes the store. An invalid run is confirmed: it is taken again, with a full trace, in a process that
has taken no other run, and its folder is kept. If its result differs, it has no verdict. One valid run of each launch
is confirmed too.
"""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyarrow as pa

from framework.core.errors import SynodError
from framework.runs.commands import replay_command
from framework.runs.shared_state import cause
from framework.sweep.axes import canonical
from framework.sweep.identity import Identity
from framework.sweep.plan import SweepPlan
from framework.sweep.point import Finished, RunRequest
from framework.sweep.rows import POINT_DIGITS, PointOutcome, RowStatus, SweepRow, standing, that_count
from framework.sweep.store import KEPT, Conflict, Store
from framework.sweep.tasks import Task, TaskEnded

ALIKE = 20
"""The number of points, at the beginning of a launch, after which the sweep ends if all have failed in the same way."""

CONFIRMED = 100
"""The number of invalid runs of one launch that are confirmed: enough to show whether runs depend on each other."""

NOT_ALONE = "came out differently in a process of its own"
"""The beginning of the reason for a run that depends on earlier runs in its process."""

_PARTICULARS = re.compile(r"\d[\d.,]*\w*|'[^']*'|\b[nck]\d+\b")
_CHECKED_AT = 0.9
"""The share of the points after which a valid run is confirmed."""


class Runner(Protocol):
    """Carries out calls and reports each as it ends."""

    @property
    def running(self) -> int: ...

    def run(self, tasks: Iterator[Task]) -> Iterator[TaskEnded]: ...


class SweepProgress(Protocol):
    """Shows the progress of a sweep."""

    def progress(self, sweep_run: SweepRun, workers: int) -> None:
        """Called after each outcome."""

    def found(self, sweep_run: SweepRun, row: SweepRow, finished: Finished) -> None:
        """Called for each invalid run."""


@dataclass
class SweepRun:
    """One launch of a sweep.

    `done`: points that were finished before. `others`: missing points that have a row of other code.
    """

    plan: SweepPlan
    identity: Identity
    store: Store
    missing: Sequence[int]
    any_code: bool = False
    """Whether rows of other code count."""
    done: int = 0
    others: int = 0
    twice: int = 0
    """Number of draws of a sampler that repeated a combination."""
    counts: Counter[str] = field(default_factory=Counter)
    """Runs of this launch by verdict, or by status for runs without a verdict."""
    finished: int = 0
    kept: int = 0
    """Number of invalid runs whose folders are kept."""
    stopped: str = ""
    """The reason why the sweep was stopped early; "" if it was not."""
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._again: deque[tuple[RunRequest, Finished]] = deque()
        self._waiting: dict[int, Finished] = {}  # runs being confirmed, by point
        self._confirmed = 0  # invalid runs that were, or are being, confirmed
        self._checked = self.plan.engine != "sim"  # whether a valid run was confirmed, or need not be
        self._first: list[PointOutcome] = []

    def run(self, runner: Runner, screen: SweepProgress) -> None:
        """Runs all missing points. Their rows are in the store when this returns or raises."""
        calls = self.requests()
        while True:
            for ended in runner.run(calls):
                self._take(ended, screen)
                screen.progress(self, runner.running)
                if self.stopped:
                    return
            if not self._again:
                return
            calls = self._confirmations()

    def command(self, values: Sequence[Any], seed: int) -> str:
        """Returns the command that takes the run of a point with its full trace."""
        plan = self.plan
        address = [] if plan.address is None or plan.engine != "ray" else [f"engine.address={plan.address}"]
        return replay_command([*plan.asked, *address, *plan.points.overrides(values)], plan.config_dir, seed)

    def requests(self) -> Iterator[Task]:
        """Yields the runs to take. Runs that are to be confirmed go first."""
        for number in self.missing:
            yield from self._confirmations()
            yield Task((self._request(number),))
        yield from self._confirmations()

    def _confirmations(self) -> Iterator[Task]:
        while self._again:
            request, finished = self._again.popleft()
            self._waiting[request.number] = finished
            yield Task((request,), fresh=True)

    def _request(self, number: int) -> RunRequest:
        point, plan = self.plan.points[number], self.plan
        ray, keep = plan.engine == "ray", plan.settings.keep
        fixed = plan.asked if keep == "all" else plan.fixed
        return RunRequest(
            number=number,
            engine=plan.engine,
            overrides=(*fixed, *plan.points.overrides(point.values)),
            config_dir=plan.config_dir,
            seed=point.seed,
            command=self.command(point.values, point.seed),
            memory=None if ray or plan.settings.memory is None else int(plan.settings.memory),
            kept=str(self._folder(number)) if keep == "all" or (ray and keep == "invalid") else "",
            unless_valid=ray and keep == "invalid",
            cpus=plan.settings.cpus_per_run,
        )

    def _take(self, ended: TaskEnded, screen: SweepProgress) -> None:
        """Stores the outcome of a call that has ended, or queues it to be confirmed first."""
        (request,) = ended.task.arguments
        finished = _finished(ended)
        if finished.config:
            self.store.add_config(finished.outcome.config, finished.config)
        if request.number in self._waiting:
            first = self._waiting.pop(request.number)
            if finished.outcome.status != "ok":  # the full trace may need more memory or time: the first run counts
                if request.kept:
                    shutil.rmtree(request.kept, ignore_errors=True)
                finished, request = first, replace(request, kept="")
            else:
                finished = _compared(first, finished)
        elif self._is_to_confirm(finished):
            self._again.append((self._confirming(request, finished), finished))
            return
        self._keep(request, finished, screen)

    def _is_to_confirm(self, finished: Finished) -> bool:
        """Returns whether the run is to be taken again, in its own process."""
        outcome = finished.outcome
        if self.plan.engine != "sim" or outcome.status != "ok":
            return False
        if outcome.verdict == "invalid":
            self._confirmed += 1
            return self._confirmed <= CONFIRMED
        if not self._checked and len(self.missing) > 1 and self.finished + 1 >= _CHECKED_AT * len(self.missing):
            self._checked = True
            return True
        return False

    def _confirming(self, request: RunRequest, finished: Finished) -> RunRequest:
        """Returns the request that repeats a run in its own process, with a full trace if the folder is to be kept."""
        settings = self.plan.settings
        if finished.outcome.verdict != "invalid" or settings.keep != "invalid" or self.kept >= settings.kept:
            return replace(request, watched=True)
        self.kept += 1
        point = self.plan.points[request.number]
        overrides = (*self.plan.asked, *self.plan.points.overrides(point.values))
        return replace(request, watched=True, overrides=overrides, kept=str(self._folder(request.number)))

    def _keep(self, request: RunRequest, finished: Finished, screen: SweepProgress) -> None:
        point, outcome = self.plan.points[request.number], finished.outcome
        if request.kept and Path(request.kept).is_dir():
            outcome = msgspec.structs.replace(
                outcome, kept=str(Path(request.kept).relative_to(self.store.folder.resolve()))
            )
        axes = {axis.key: value for axis, value in zip(self.plan.axes, point.values, strict=True)}
        row = SweepRow(self.identity.key(point.values, point.seed), point.seed, axes, self.identity.code, outcome)
        try:
            if not self.store.add(row):
                return
        except Conflict as conflict:
            if bytes.fromhex(row.key) in self.store.keys:
                raise
            row = msgspec.structs.replace(row, outcome=_without_verdict(outcome, str(conflict)))
            self.store.add(row)
        self.finished += 1
        self.counts[standing(row.outcome.status, row.outcome.verdict)] += 1
        self._look_for_an_end(row, finished, screen)

    def _look_for_an_end(self, row: SweepRow, finished: Finished, screen: SweepProgress) -> None:
        if row.outcome.verdict == "invalid":
            screen.found(self, row, finished)
            if self.plan.settings.stop == "first_invalid":
                self.stopped = "a run is invalid"
        if len(self._first) < ALIKE:
            self._first.append(row.outcome)
            ways = {(outcome.status, kind_of_reason(outcome.reason)) for outcome in self._first}
            if len(self._first) == ALIKE and len(ways) == 1 and row.outcome.status != "ok":
                self.stopped = f"the first {ALIKE} points all failed in one way: {row.outcome.reason}"

    def _folder(self, number: int) -> Path:
        """Returns the folder of a kept run, named after the point's values, its seed and its key."""
        point = self.plan.points[number]
        words = [value if isinstance(value, str) else canonical(value) for value in point.values]
        name = re.sub(r"[^\w.=+-]+", "_", "-".join([*words, f"seed{point.seed}"]))[:80]
        return self.store.folder.resolve() / KEPT / f"{name}-{self.identity.key(point.values, point.seed)[:8]}"


def _compared(first: Finished, second: Finished) -> Finished:
    """Returns the result of a run that was taken twice: without a verdict if the two differ."""
    if _essence(first.outcome) == _essence(second.outcome):
        return second
    said = [str(one.outcome.verdict) for one in (first, second)]
    how = " and then ".join(said) if said[0] != said[1] else f"{said[0]} with another history"
    reason = f"{NOT_ALONE} ({how}). {cause(second.shared)}"
    return replace(second, outcome=_without_verdict(second.outcome, reason))


def _without_verdict(outcome: PointOutcome, reason: str) -> PointOutcome:
    return msgspec.structs.replace(outcome, status="failed", verdict=None, digest=None, reason=reason)


def kind_of_reason(reason: str) -> str:
    """Returns a reason without its particulars, so that similar reasons are counted together.

    Removes numbers, names, the text after the first semicolon, and the place of a call that took too long.
    """
    told = reason.partition(": in ")[0] if reason.startswith("took longer") else reason.partition("; ")[0]
    return _PARTICULARS.sub("…", " ".join(told.split()))


def asked_rows(sweep_run: SweepRun) -> pa.Table:
    """Returns the rows that count, for the points that the command asks for."""
    wanted = {key[:POINT_DIGITS] for key in sweep_run.identity.keys_of(sweep_run.plan.points)}
    rows = that_count(sweep_run.store.rows(), sweep_run.identity.code, any_code=sweep_run.any_code)
    return rows.filter(pa.array([key[:POINT_DIGITS] in wanted for key in rows["key"].to_pylist()], pa.bool_()))


def _finished(ended: TaskEnded) -> Finished:
    """Returns the worker's report, or an outcome for a failed call. Raises the call's error if it is a SynodError."""
    if ended.failure is None:
        finished: Finished = ended.result
        return finished
    failure = ended.failure
    if isinstance(failure.error, SynodError):
        raise failure.error
    status: RowStatus = "failed" if failure.kind == "raised" else failure.kind
    outcome = PointOutcome(
        status=status, reason=failure.reason, traceback=failure.traceback, took_s=round(ended.took_s, 4)
    )
    return Finished(outcome=outcome)


def _essence(outcome: PointOutcome) -> tuple[Any, ...]:
    return outcome.status, outcome.verdict, outcome.operations_ok, outcome.strikes, outcome.digest
