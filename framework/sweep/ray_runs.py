"""Runs of the Ray engine as points of a sweep: one coordinator actor for each run, on a shared runtime.

A coordinator is the driver of its run. It reserves no processor; the run's node actors reserve theirs in a placement
group. A run that cannot be placed within `scheduling.timeout` is a failed point.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from framework.core.tracebacks import error_line
from framework.engine.ray.runtime import own_folders
from framework.registry.discovery import add_import_path
from framework.sweep.tasks import Failure, Task, TaskEnded

_LOOK_S = 0.5


class Coordinator:
    """The actor of one run: carries out one call."""

    def __init__(self, paths: list[str]) -> None:
        for path in paths:
            add_import_path(Path(path))

    def carry_out(self, pickled: bytes) -> bytes:
        """Carries out a pickled call. Returns its pickled result."""
        from ray import cloudpickle

        work, arguments = cloudpickle.loads(pickled)
        answer: bytes = cloudpickle.dumps(work(*arguments))  # type: ignore[no-untyped-call]
        return answer


@dataclass
class _UnderWay:
    number: int
    task: Task
    actor: Any
    began: float


class Coordinators:
    """Carries out calls on a running Ray, `concurrent` at a time, each in its own actor. `timeout_s` 0: no limit."""

    def __init__(self, work: Callable[..., Any], concurrent: int, timeout_s: float) -> None:
        self._work, self._concurrent, self._timeout_s = work, concurrent, timeout_s
        self._under_way: dict[Any, _UnderWay] = {}

    @property
    def running(self) -> int:
        return len(self._under_way)

    def run(self, tasks: Iterator[Task]) -> Iterator[TaskEnded]:
        """Yields each call as it ends."""
        numbers = count()
        exhausted = False
        while True:
            while not exhausted and len(self._under_way) < self._concurrent:
                task = next(tasks, None)
                exhausted = task is None
                if task is not None:
                    self._start(next(numbers), task)
            if not self._under_way:
                return
            yield from self._ended()

    def _start(self, number: int, task: Task) -> None:
        import ray
        from ray import cloudpickle

        actor: Any = ray.remote(num_cpus=0, max_restarts=0)(Coordinator).remote(own_folders())
        ref = actor.carry_out.remote(cloudpickle.dumps((self._work, task.arguments)))  # type: ignore[no-untyped-call]
        self._under_way[ref] = _UnderWay(number, task, actor, time.monotonic())

    def _ended(self) -> list[TaskEnded]:
        """Waits for half a second at most. Returns the calls that have ended, or have exceeded their time."""
        import ray

        ready, _ = ray.wait(list(self._under_way), num_returns=1, timeout=_LOOK_S)
        late = [
            ref for ref, one in self._under_way.items()
            if ref not in ready and 0 < self._timeout_s < time.monotonic() - one.began
        ]  # fmt: skip
        return [self._result(ref) for ref in ready] + [self._too_late(ref) for ref in late]

    def _result(self, ref: Any) -> TaskEnded:
        import ray
        from ray import cloudpickle

        one = self._under_way.pop(ref)
        result, failure = None, None
        try:
            result = cloudpickle.loads(ray.get(ref))
        except ray.exceptions.RayTaskError as error:
            failure = Failure("raised", error_line(error.cause if error.cause is not None else error), str(error))
        except ray.exceptions.RayError as error:
            failure = Failure("died", f"its coordinator ended ({error_line(error)})")
        ray.kill(one.actor)
        return TaskEnded(one.number, one.task, result, failure, time.monotonic() - one.began)

    def _too_late(self, ref: Any) -> TaskEnded:
        import ray

        one = self._under_way.pop(ref)
        ray.kill(one.actor)
        failure = Failure("timeout", f"took longer than {self._timeout_s:g}s")
        return TaskEnded(one.number, one.task, None, failure, time.monotonic() - one.began)
