"""The input and output of a pool: tasks, results and failures, and the ends of workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Task:
    """One call of the pool's function. `fresh`: in a worker that makes no other call before or after it."""

    arguments: tuple[Any, ...]
    fresh: bool = False


@dataclass(frozen=True)
class Failure:
    """The reason why a call has no result.

    `reason` is one line. `traceback` is the place of the failure, as far as it is known. `error` is the call's
    exception, if it can be pickled.
    """

    kind: Literal["raised", "timeout", "memory", "died"]
    reason: str
    traceback: str = ""
    error: BaseException | None = None


@dataclass(frozen=True)
class TaskEnded:
    """A call that has ended: the `number`-th of its run, from 0. `result` is undefined if there is a `failure`."""

    number: int
    task: Task
    result: Any
    failure: Failure | None
    took_s: float


@dataclass(frozen=True)
class Exhausted:
    """Wraps a function's result if its process should make no more calls, for example because it ran out of memory."""

    result: Any


@dataclass(frozen=True)
class Death:
    """The unexpected end of a worker.

    `cause`: its call took too long (`timeout`), the process ended by itself (`died`), SIGKILL was sent to it
    (`killed`), or its Ray actor is gone (`lost`). `last_line` is the last line that it printed. `misses_code`: the
    worker could not be set up at all.
    """

    cause: Literal["timeout", "died", "killed", "lost"]
    reason: str
    traceback: str = ""
    last_line: str = ""
    misses_code: bool = False


WorkerEvent = bytes | Death
"""An event of a worker: READY, a reply or a rest (see `framework.sweep.worker`), or its end."""
