"""A sweep as it runs: hands out the points that are missing, takes their outcomes, and confirms what matters.

The driver alone writes the store. An invalid run is confirmed: it is taken once more, at full trace, in a process that has
taken no other, and its folder is kept. If it comes out differently, it has no verdict. So is one valid run of each launch.
"""

from __future__ import annotations

import re
import shutil
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.errors import SynodError
from framework.runs.commands import replay_command
from framework.runs.shared_state import cause
from framework.sweep.axes import canonical
from framework.sweep.identity import Identity
from framework.sweep.plan import SweepPlan
from framework.sweep.point import Finished, RunRequest
from framework.sweep.rows import CODE_DIGITS, POINT_DIGITS, PointOutcome, RowStatus, SweepRow, standing, that_count
from framework.sweep.store import KEPT, Conflict, Store
from framework.sweep.tasks import Ended, Task

ALIKE = 20
"""If so many points, the first of a launch, all fail in one way, the sweep ends."""

CONFIRMED = 100
"""Invalid runs of one launch that are confirmed. Where runs depend on each other, these show it; where they do not, more of them
would only take time."""

NOT_ALONE = "came out differently in a process of its own"
"""How the reason begins of a run that depends on the runs before it in its process."""

_PARTICULARS = re.compile(r"\d[\d.,]*\w*|'[^']*'|\b[nck]\d+\b")
_CHECKED_AT = 0.9
"""The share of the points after which a valid run is taken again by itself."""


class Runner(Protocol):
    """Carries out calls and reports each as it ends."""

    @property
    def running(self) -> int: ...

    def run(self, tasks: Iterator[Task]) -> Iterator[Ended]: ...


class SweepProgress(Protocol):
    """Shows a sweep as it goes."""

    def progress(self, sweep_run: SweepRun, workers: int) -> None:
        """Called after each outcome."""

    def found(self, sweep_run: SweepRun, row: SweepRow, finished: Finished) -> None:
        """A run is invalid."""


@dataclass
class SweepRun:
    """One launch of a sweep. `done` were there before; `others` of the missing points have a row by other code."""

    plan: SweepPlan
    identity: Identity
    store: Store
    missing: Sequence[int]
    any_code: bool = False
    """Whether rows by other code count."""
    done: int = 0
    others: int = 0
    twice: int = 0
    """Draws of a sampler that gave a combination again."""
    counts: Counter[str] = field(default_factory=Counter)
    """By verdict, or status of runs without one: of this launch."""
    finished: int = 0
    kept: int = 0
    """Invalid runs whose folders are kept."""
    stopped: str = ""
    """Why the sweep ended before its end."""
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._again: deque[tuple[RunRequest, Finished]] = deque()
        self._waiting: dict[int, Finished] = {}  # by point, what is being confirmed
        self._confirmed = 0  # invalid runs that were, or are being
        self._checked = self.plan.engine != "sim"  # whether a valid run was confirmed, or need not be
        self._first: list[PointOutcome] = []

    def run(self, runner: Runner, screen: SweepProgress) -> None:
        """Takes all missing points. Rows are in the store when this returns or raises."""
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
        """What a person types to take the run of a point, with its full trace."""
        plan = self.plan
        address = [] if plan.address is None or plan.engine != "ray" else [f"engine.address={plan.address}"]
        return replay_command([*plan.asked, *address, *plan.points.overrides(values)], plan.config_dir, seed)

    def requests(self) -> Iterator[Task]:
        """The runs to take, one after the other; what is to be confirmed by then goes first."""
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

    def _take(self, ended: Ended, screen: SweepProgress) -> None:
        """One call ended: keeps its outcome, or has it confirmed first."""
        (request,) = ended.task.arguments
        finished = _finished(ended)
        if finished.config:
            self.store.add_config(finished.outcome.config, finished.config)
        if request.number in self._waiting:
            first = self._waiting.pop(request.number)
            if finished.outcome.status != "ok":  # its full trace may need more memory, or time: it decides nothing
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
        """Whether the run is to be taken again, in a process of its own."""
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
        """The same run in a process of its own; with its full trace in a folder if that is to be kept."""
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
        """Where the run of a point is kept: named after its values, its seed and its key."""
        point = self.plan.points[number]
        words = [value if isinstance(value, str) else canonical(value) for value in point.values]
        name = re.sub(r"[^\w.=+-]+", "_", "-".join([*words, f"seed{point.seed}"]))[:80]
        return self.store.folder.resolve() / KEPT / f"{name}-{self.identity.key(point.values, point.seed)[:8]}"


def _compared(first: Finished, second: Finished) -> Finished:
    """What counts of a run that was taken twice."""
    if _essence(first.outcome) == _essence(second.outcome):
        return second
    said = [str(one.outcome.verdict) for one in (first, second)]
    how = " and then ".join(said) if said[0] != said[1] else f"{said[0]} with another history"
    reason = f"{NOT_ALONE} ({how}). {cause(second.shared)}"
    return replace(second, outcome=_without_verdict(second.outcome, reason))


def _without_verdict(outcome: PointOutcome, reason: str) -> PointOutcome:
    return msgspec.structs.replace(outcome, status="failed", verdict=None, digest=None, reason=reason)


def kind_of_reason(reason: str) -> str:
    """A reason without numbers, names, what follows the first semicolon, and where a call was that took too long, so that
    like reasons are counted together."""
    told = reason.partition(": in ")[0] if reason.startswith("took longer") else reason.partition("; ")[0]
    return _PARTICULARS.sub("…", " ".join(told.split()))


def planned_run(
    plan: SweepPlan, identity: Identity, store: Store, *, rerun: Sequence[str] = (), any_code: bool = False
) -> SweepRun:
    """What is left to do. `rerun` are verdicts (`invalid`, `unknown`), and `failed` for runs without one, whose points run
    again; with `any_code` rows by other code count as done."""
    rows = _Standings(store, identity)
    again = rows.to_rerun(rerun)
    store.forget({key: digest for key, digest in again.items() if key.endswith(identity.code)})
    unwanted = {bytes.fromhex(key[:POINT_DIGITS]) for key in again}
    own = bytes.fromhex(identity.code)
    others = {key[: POINT_DIGITS // 2] for key in store.keys if key[-(CODE_DIGITS // 2) :] != own}
    missing, seen = array("Q"), set[bytes]()
    done = known = twice = 0
    for number, key in enumerate(map(bytes.fromhex, identity.keys_of(plan.points))):
        point = key[: POINT_DIGITS // 2]
        if plan.points.sampler != "grid":
            twice += key in seen
            if key in seen:
                continue
            seen.add(key)
        if key in store.keys or (any_code and point in others and point not in unwanted):
            done += 1
        else:
            known += point in others
            missing.append(number)
    kept = rows.kept(set(again))
    return SweepRun(
        plan, identity, store, missing, any_code=any_code, done=done, others=known, twice=twice, kept=kept
    )  # fmt: skip


class _Standings:
    """What the rows of a store count as."""

    def __init__(self, store: Store, identity: Identity) -> None:
        self._table = store.rows(["key", "code", "status", "verdict", "digest", "kept"])
        self._code = identity.code

    def to_rerun(self, kinds: Sequence[str]) -> dict[str, str | None]:
        """The keys of rows of these kinds, by any code, with their digests."""
        if not kinds:
            return {}
        columns = [self._table[name].to_pylist() for name in ("key", "status", "verdict", "digest")]
        return {
            key: digest for key, status, verdict, digest in zip(*columns, strict=True)
            if (verdict if status == "ok" else "failed") in kinds
        }  # fmt: skip

    def kept(self, but: Set[str]) -> int:
        """How many invalid runs of this code are kept, but for those with these keys."""
        invalid = pc.and_(pc.equal(self._table["verdict"], "invalid"), pc.not_equal(self._table["kept"], ""))
        rows = self._table.filter(pc.and_(invalid, pc.equal(self._table["code"], self._code)))
        return sum(key not in but for key in rows["key"].to_pylist())


def asked_rows(sweep_run: SweepRun) -> pa.Table:
    """The rows that count of the points that were asked for."""
    wanted = {key[:POINT_DIGITS] for key in sweep_run.identity.keys_of(sweep_run.plan.points)}
    rows = that_count(sweep_run.store.rows(), sweep_run.identity.code, any_code=sweep_run.any_code)
    return rows.filter(pa.array([key[:POINT_DIGITS] in wanted for key in rows["key"].to_pylist()], pa.bool_()))


def _finished(ended: Ended) -> Finished:
    """What the worker reported, or what became of it."""
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
