"""What a sweep makes of the outcomes that its workers report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from framework.console.sweep_command import head_of
from framework.sweep.identity import identity_of
from framework.sweep.plan import plan_sweep
from framework.sweep.point import Finished, RunRequest
from framework.sweep.reader import open_sweep
from framework.sweep.resume import planned_run
from framework.sweep.rows import PointOutcome, SweepRow
from framework.sweep.store import Store
from framework.sweep.sweep_run import SweepRun
from framework.sweep.tasks import Failure, Task, TaskEnded


class Scripted:
    """Ends each call as a script says: with an outcome, or a failure."""

    running = 1

    def __init__(self, script: Callable[[RunRequest], PointOutcome | Failure]) -> None:
        self.script = script
        self.requests: list[RunRequest] = []

    def run(self, tasks: Iterator[Task]) -> Iterator[TaskEnded]:
        for number, task in enumerate(tasks):
            (request,) = task.arguments
            assert task.fresh == request.watched, "what is confirmed runs in a process of its own, and nothing else"
            self.requests.append(request)
            said = self.script(request)
            failure = said if isinstance(said, Failure) else None
            yield TaskEnded(
                number, task, Finished(outcome=said) if isinstance(said, PointOutcome) else None, failure, 0.1
            )


class Unseen:
    def progress(self, sweep_run: SweepRun, workers: int) -> None: ...
    def found(self, sweep_run: SweepRun, row: SweepRow, finished: Finished) -> None: ...


def taken(
    folder: Path, script: Callable[[RunRequest], PointOutcome | Failure], *words: str
) -> tuple[Scripted, list[dict[str, object]]]:
    """The runner of a sweep over ten seeds that went as scripted, and its rows by seed."""
    plan = plan_sweep(["experiment=hello", "engine=sim", "seed=range(0,10)", f"sweep.dir={folder}", *words])
    identity, runner = identity_of(plan), Scripted(script)
    with Store(plan.folder, head_of(plan, identity)) as store:
        planned_run(plan, identity, store).run(runner, Unseen())
    return runner, sorted(open_sweep(folder).rows.to_pylist(), key=lambda row: int(row["seed"]))


VALID, INVALID = PointOutcome(verdict="valid", digest="d"), PointOutcome(verdict="invalid", digest="d", reason="why")


def test_an_invalid_run_and_one_valid_run_are_confirmed(tmp_path: Path) -> None:
    runner, rows = taken(tmp_path, lambda request: INVALID if request.seed == 3 else VALID)
    assert [request.seed for request in runner.requests if request.watched] == [3, 8]
    assert [row["verdict"] for row in rows] == ["valid"] * 3 + ["invalid"] + ["valid"] * 6
    (whole,) = [request for request in runner.requests if request.kept]
    assert whole.seed == 3 and "trace=history" not in whole.overrides


def test_a_confirmation_that_dies_decides_nothing(tmp_path: Path) -> None:
    def script(request: RunRequest) -> PointOutcome | Failure:
        if request.watched:
            Path(request.kept).mkdir(parents=True) if request.kept else None
            return Failure("died", "its process was killed")
        return INVALID if request.seed == 3 else VALID

    _, rows = taken(tmp_path, script)
    assert (rows[3]["verdict"], rows[3]["reason"], rows[3]["kept"]) == ("invalid", "why", "")
    assert rows[8]["verdict"] == "valid" and not list((tmp_path / "kept").iterdir())


def test_a_run_that_another_history_confirms_has_no_verdict(tmp_path: Path) -> None:
    _, rows = taken(tmp_path, lambda request: PointOutcome(verdict="valid", digest="e" if request.watched else "d"))
    assert rows[8]["status"] == "failed" and "(valid with another history)" in str(rows[8]["reason"])


def test_failures_of_workers_are_rows(tmp_path: Path) -> None:
    kinds = ("raised", "timeout", "memory", "died")
    _, rows = taken(
        tmp_path, lambda request: Failure(kinds[request.seed % 4], "why", "where") if request.seed < 4 else VALID
    )
    assert [(row["status"], row["verdict"], row["reason"], row["traceback"]) for row in rows[:4]] == [
        (status, None, "why", "where") for status in ("failed", "timeout", "memory", "died")
    ]


def test_configs_of_what_is_being_confirmed_are_not_lost(tmp_path: Path) -> None:
    class WithConfig(Scripted):
        def run(self, tasks: Iterator[Task]) -> Iterator[TaskEnded]:
            for ended in super().run(tasks):
                outcome = ended.result.outcome
                yield TaskEnded(ended.number, ended.task, Finished(outcome=outcome, config="nodes: 3\n"), None, 0.1)

    plan = plan_sweep(["experiment=hello", "engine=sim", "seed=0", f"sweep.dir={tmp_path}"])
    identity = identity_of(plan)

    def script(request: RunRequest) -> PointOutcome:
        return PointOutcome(verdict="invalid", digest="d", config="whole" if request.watched else "first")

    with Store(plan.folder, head_of(plan, identity)) as store:
        planned_run(plan, identity, store).run(WithConfig(script), Unseen())
    assert set(open_sweep(tmp_path).configs) == {"first", "whole"}
