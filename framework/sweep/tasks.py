"""What a pool is given and what it gives back, and why a worker has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Task:
    """One call of the pool's function. `fresh`: in a worker that has made no other call, and makes none after it."""

    arguments: tuple[Any, ...]
    fresh: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a call has no result.

    `reason` is one line; `traceback` where it happened, as far as that is known; `error` what the call raised, if it can be
    pickled.
    """

    kind: Literal["raised", "timeout", "memory", "died"]
    reason: str
    traceback: str = ""
    error: BaseException | None = None


@dataclass(frozen=True)
class Ended:
    """A call that is over: the `number`-th of its run, from 0. `result` means nothing if there is a `failure`."""

    number: int
    task: Task
    result: Any
    failure: Failure | None
    took_s: float


@dataclass(frozen=True)
class Exhausted:
    """What a function returns instead of `result` if its process should make no more calls, since its memory ran out, say."""

    result: Any


@dataclass(frozen=True)
class Death:
    """The end of a worker that nobody asked for.

    `cause`: its call took too long, the process ended by itself (`died`), somebody sent it SIGKILL (`killed`), or its Ray
    actor is gone (`lost`). `last_line` is the last of what it printed. `misses_code`: the worker could not be set up at all.
    """

    cause: Literal["timeout", "died", "killed", "lost"]
    reason: str
    traceback: str = ""
    last_line: str = ""
    misses_code: bool = False


Event = bytes | Death
"""What a worker reports: READY, a reply (see `framework.sweep.worker`), or its end."""
