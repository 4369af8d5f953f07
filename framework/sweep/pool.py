"""Calls a function many times on many processes, in order or as the calls end.

    with Pool(simulate, workers=8, limits=Limits(timeout_s=60)) as pool:
        for ended in pool.run(Task((seed,)) for seed in range(1_000_000)):
            ...

The function is imported in each worker, so it must be importable. Arguments and results are pickled. Tasks are taken
from their iterable only when a worker has room for them, and are sent in chunks of about a second of work.

The death of a worker affects only the call that it was making. The call is repeated once, alone in a fresh worker, and
fails if that worker dies too. The same applies to a call that exceeds its time limit. A SIGKILL from outside (a user's,
or the kernel's out-of-memory killer's) need not be the call's fault: the call fails only at the fourth death.
"""

from __future__ import annotations

import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from types import TracebackType
from typing import Any, Literal, Protocol

from framework.core.errors import ConfigError, SynodError
from framework.core.tracebacks import error_line
from framework.engine.ray.runtime import undisturbed
from framework.sweep.limits import NO_LIMITS, Limits, limit_memory
from framework.sweep.processes import Processes
from framework.sweep.tasks import Death, Exhausted, Failure, Task, TaskEnded, WorkerEvent
from framework.sweep.worker import READY, CallReply, is_rest

__all__ = ["TaskEnded", "Exhausted", "Failure", "Limits", "Pool", "Task", "TaskFailed", "limit_memory", "results"]

CHUNK_S = 1.0
"""The desired duration of a chunk."""

LONGEST_CHUNK = 1_000

WINDOW = 50
"""The approximate number of calls over which the duration of a call is averaged."""

BRIEF_S = 0.1
"""If calls are shorter than this, a worker gets its next chunk before it has finished the current one. Longer calls
would wait in the queue of one worker while another is idle."""

AHEAD = 64
"""In an ordered run: the number of calls, beyond its chunks, that a worker may be ahead of the next one to yield."""

TRIES, KILLED_TRIES, LOST_TRIES = 2, 4, 3
"""The number of workers' deaths at which a call fails: deaths by themselves or by the time limit; the same plus kills
from outside; losses of the worker's actor or machine."""

STARTS = 3
"""The number of consecutive workers that end before they are ready, after which the pool gives up."""

TICK_S = 0.5


class TaskFailed(SynodError):
    """Signals a call without a result whose exception, if it raised one, could not be sent back."""


class Workers(Protocol):
    """The host of a pool's workers. Each method has the contract of its counterpart in Processes.

    The pool assigns the workers' numbers.
    """

    @property
    def wanted(self) -> int: ...
    def start(self, number: int) -> None: ...
    def is_placed(self, number: int) -> bool: ...
    def send(self, number: int, chunk: bytes, calls: int) -> None: ...
    def stop(self, number: int) -> None: ...
    def wait(self, timeout_s: float) -> list[tuple[int, WorkerEvent]]: ...
    def close(self) -> None: ...


class Pool:
    """Workers that call `work`: `workers` processes on this machine or, with `on_ray`, as many Ray actors.

    On Ray, `workers` may be 0: one for each processor of the cluster, as it grows or shrinks. The caller must have
    initialised Ray. Workers are started when there is work for them. They are killed on exit from the context, and by
    an exception in a run, a Ctrl-C, or the closing of its iterator. Raises ConfigError if `work` cannot be pickled.
    """

    def __init__(
        self, work: Callable[..., Any], workers: int, *, limits: Limits = NO_LIMITS, on_ray: bool = False
    ) -> None:
        assert workers > 0 or on_ray, "a pool of no workers"
        self.name = getattr(work, "__qualname__", repr(work))
        try:
            self._function = pickle.dumps(work)
            if getattr(work, "__module__", None) == "__main__":
                raise pickle.PicklingError("it is defined in the program itself")
        except Exception as error:
            raise ConfigError(
                f"workers for {self.name}", f"it cannot be sent to them ({error_line(error)})",
                "Use a function at the top level of a module.",
            ) from error  # fmt: skip
        self._count, self._limits, self._on_ray = workers, limits, on_ray
        self._workers: Workers | None = None
        self._state = _PoolState(self.name)
        self._is_busy = False

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def running(self) -> int:
        """Number of workers that are ready."""
        return sum(worker.is_ready for worker in list(self._state.workers.values()))

    def run(self, tasks: Iterable[Task], *, ordered: bool = False) -> Generator[TaskEnded, None, None]:
        """Makes the calls, and yields each as it ends or, if `ordered`, in the order of the tasks.

        A pool has one run at a time. Raises ConfigError if workers cannot be started, for example because they cannot
        import the function.
        """
        assert not self._is_busy, "a pool has one run at a time"
        self._is_busy, is_over = True, False
        try:
            if self._workers is None:
                self._workers = self._opened()
            yield from _Run(self._workers, self._state, tasks, ordered).ended()
            is_over = True
        finally:
            self._is_busy = False
            if not is_over:
                self.close()

    def close(self) -> None:
        """Kills all workers."""
        workers, self._workers = self._workers, None
        self._state = _PoolState(self.name)
        if workers is not None:
            with undisturbed():
                workers.close()

    def _opened(self) -> Workers:
        if not self._on_ray:
            return Processes(self._function, self._limits, self._count)
        from framework.sweep.ray_workers import RayWorkers

        return RayWorkers(self._function, self._limits, self._count)


def results(work: Callable[..., Any], calls: Iterable[tuple[Any, ...]], workers: int) -> Generator[Any, None, None]:
    """Yields `work(*call)` of each call, in the order of the calls. Uses `workers` processes.

    Raises the exception of a failed call, or TaskFailed if there is none. Closing the generator or interrupting it ends
    the processes at once.
    """
    with Pool(work, workers) as pool, closing(pool.run(map(Task, calls), ordered=True)) as ended:
        for one in ended:
            if one.failure is not None:
                raise _to_raise(pool.name, one.number, one.failure)
            yield one.result


def _to_raise(name: str, number: int, failure: Failure) -> BaseException:
    if failure.error is None:
        error: BaseException = TaskFailed(f"{name}, call {number + 1:,}: {failure.reason}")
    else:
        error = failure.error
    if failure.traceback:
        error.add_note(f"In its worker:\n{failure.traceback}")
    return error


class _Entry:
    """A task that has not ended yet."""

    __slots__ = ("arguments", "deaths", "number", "task")

    def __init__(self, number: int, task: Task, arguments: bytes) -> None:
        self.number, self.task, self.arguments = number, task, arguments
        self.deaths: Counter[str] = Counter()  # of workers making this call, by cause

    def is_given_up(self) -> bool:
        own = self.deaths["died"] + self.deaths["timeout"]
        return own >= TRIES or own + self.deaths["killed"] >= KILLED_TRIES or self.deaths["lost"] >= LOST_TRIES


class _Worker:
    """The pool's view of a worker. `chunks`: at most two, sent to the worker and not fully answered."""

    __slots__ = ("chunks", "is_clean", "is_last", "is_ready", "number", "since")

    def __init__(self, number: int) -> None:
        self.number = number
        self.chunks: deque[deque[_Entry]] = deque()
        self.is_ready = False
        self.is_clean = True  # it has not begun a call
        self.is_last = False  # it will get no other call
        self.since = 0.0  # when its current call began

    def left(self) -> list[_Entry]:
        """Returns the unanswered calls in order. The first is the one that the worker is, or was, making."""
        return [entry for chunk in self.chunks for entry in chunk]


class _PoolState:
    """The workers of a pool, and the average duration of a call, across the pool's runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.workers: dict[int, _Worker] = {}
        self.started = 0
        self.failed_starts = 0
        self._call_s = self._last_s = 0.0
        self._seen = 0

    def add(self) -> _Worker:
        worker = self.workers[self.started] = _Worker(self.started)
        self.started += 1
        return worker

    def saw(self, took_s: float) -> None:
        self._seen += 1
        self._last_s = took_s
        self._call_s += (took_s - self._call_s) / min(self._seen, WINDOW)

    def is_slower(self) -> None:
        """Raises the average to the duration of the last call: calls have become slower."""
        self._call_s = max(self._call_s, self._last_s)

    @property
    def chunk(self) -> int:
        """Number of calls in a chunk. It is limited by the number of calls measured so far."""
        return max(1, min(LONGEST_CHUNK, int(CHUNK_S / max(self._call_s, 1e-6)), self._seen))

    @property
    def is_brief(self) -> bool:
        return self._seen > 0 and self._call_s < BRIEF_S

    def on_failed_start(self, death: Death) -> None:
        """Counts a worker that ended before it was ready. Raises ConfigError if there are STARTS in a row."""
        self.failed_starts += death.cause != "lost" or death.misses_code
        if self.failed_starts >= STARTS:
            why = death.last_line or death.reason
            raise ConfigError(f"workers for {self.name}", f"{STARTS} in a row ended before they were ready ({why})")


class _Run:
    """One run of a pool: its waiting, running and finished calls."""

    def __init__(self, workers: Workers, state: _PoolState, tasks: Iterable[Task], ordered: bool) -> None:
        self._workers, self._state = workers, state
        self._tasks = iter(tasks)
        self._ordered = ordered
        self._is_exhausted = False
        self._taken = self._given = 0  # tasks taken from the iterable; ended calls given to the caller
        self._waiting: deque[_Entry] = deque()
        self._alone: deque[_Entry] = deque()  # waiting, each for its own fresh worker
        self._over: deque[TaskEnded] = deque()
        self._early: dict[int, TaskEnded] = {}  # in an ordered run: calls that have ended before their turn

    def ended(self) -> Iterator[TaskEnded]:
        while True:
            self._hand_out()
            if not self._over:
                if not self._is_going():
                    return
                for number, event in self._workers.wait(TICK_S):
                    self._on_event(number, event)
            while self._over:
                self._given += 1
                yield self._over.popleft()

    def _is_going(self) -> bool:
        busy = any(worker.chunks for worker in self._state.workers.values())
        return bool(busy or self._waiting or self._alone or not self._is_exhausted)

    # Outgoing calls.

    def _hand_out(self) -> None:
        workers = self._state.workers
        idle = [worker for worker in workers.values() if not worker.chunks]
        self._has(len(idle))
        for worker in idle:
            if worker.is_ready and not worker.is_clean and self._lacks_fresh():
                self._retire(worker)
        self._start()
        for worker in workers.values():
            if worker.is_ready and not worker.is_last:
                self._serve(worker)

    def _start(self) -> None:
        """Starts a worker for each call that has no idle worker."""
        workers = self._state.workers
        idle = sum(not worker.chunks for worker in workers.values())
        while len(workers) < self._workers.wanted and self._has(idle + 1):
            self._workers.start(self._state.add().number)
            idle += 1

    def _serve(self, worker: _Worker) -> None:
        """Sends a worker the calls that it has room for. While calls need fresh workers, other workers get none."""
        if self._alone and worker.is_clean:
            worker.is_last = True
            self._send(worker, [self._alone.popleft()])
        elif not self._lacks_fresh() and len(worker.chunks) < 1 + self._state.is_brief:
            chunk = self._next_chunk()
            if chunk:
                self._send(worker, chunk)

    def _lacks_fresh(self) -> bool:
        if not self._alone:
            return False
        workers = self._state.workers.values()
        fresh = sum(worker.is_clean and self._workers.is_placed(worker.number) for worker in workers)
        return fresh < len(self._alone)

    def _send(self, worker: _Worker, entries: list[_Entry]) -> None:
        if not worker.chunks:
            worker.since = time.monotonic()
        worker.is_clean = False
        worker.chunks.append(deque(entries))
        chunk = pickle.dumps([(entry.number, entry.arguments) for entry in entries])
        self._workers.send(worker.number, chunk, len(entries))

    def _next_chunk(self) -> list[_Entry]:
        chunk: list[_Entry] = []
        for _ in range(self._state.chunk):
            if not self._waiting and not self._take():
                break
            if self._waiting:
                chunk.append(self._waiting.popleft())
        return chunk

    def _has(self, count: int) -> bool:
        """Returns whether at least `count` calls wait, taking more from the tasks if needed."""
        while len(self._waiting) + len(self._alone) < count and not self._over:
            if not self._take():
                break
        return len(self._waiting) + len(self._alone) >= count

    def _take(self) -> bool:
        """Takes one task, unless none is left, too many wait for fresh workers, or the run is too far ahead.

        Returns whether it took one.
        """
        if self._is_exhausted or len(self._alone) >= max(1, self._workers.wanted) or self._is_far_ahead():
            return False
        task = next(self._tasks, None)
        if task is None:
            self._is_exhausted = True
            return False
        number = self._taken
        self._taken += 1
        try:
            entry = _Entry(number, task, pickle.dumps(task.arguments))
        except Exception as error:
            reason = f"its arguments cannot be pickled: {error_line(error)}"
            self._end(TaskEnded(number, task, None, Failure("raised", reason, error=error), 0.0))
        else:
            (self._alone if task.fresh else self._waiting).append(entry)
        return True

    def _is_far_ahead(self) -> bool:
        if not self._ordered:
            return False
        return self._taken - self._given >= max(1, self._workers.wanted) * (2 * self._state.chunk + AHEAD)

    # Incoming events.

    def _on_event(self, number: int, event: WorkerEvent) -> None:
        worker = self._state.workers.get(number)
        if worker is None:  # stopped meanwhile
            return
        if isinstance(event, Death):
            self._on_death(worker, event)
        elif event == READY:
            worker.is_ready = True
            self._state.failed_starts = 0
        elif is_rest(event):
            self._on_rest(worker)
        else:
            self._on_reply(worker, CallReply.unpacked(event))

    def _on_rest(self, worker: _Worker) -> None:
        """Takes back the calls of a chunk that the worker has not begun: calls take longer than expected."""
        self._state.is_slower()
        self._waiting.extendleft(reversed(worker.chunks.popleft()))

    def _on_reply(self, worker: _Worker, reply: CallReply) -> None:
        entry = worker.chunks[0].popleft()
        assert entry.number == reply.number, "a worker makes its calls in order"
        if not worker.chunks[0]:
            worker.chunks.popleft()
        worker.since = time.monotonic()
        self._state.saw(reply.took_s)
        self._end(TaskEnded(entry.number, entry.task, reply.result, reply.failure, reply.took_s))
        if reply.is_last or worker.is_last:
            self._retire(worker)

    def _on_death(self, worker: _Worker, death: Death) -> None:
        del self._state.workers[worker.number]
        if not worker.is_ready:
            self._state.on_failed_start(death)
        left = worker.left()
        self._waiting.extendleft(reversed(left[1:]))
        if left:
            self._on_death_at(left[0], death, time.monotonic() - worker.since)

    def _on_death_at(self, entry: _Entry, death: Death, took_s: float) -> None:
        entry.deaths[death.cause] += 1
        if entry.is_given_up():
            kind: Literal["timeout", "died"] = "timeout" if death.cause == "timeout" else "died"
            self._end(TaskEnded(entry.number, entry.task, None, Failure(kind, death.reason, death.traceback), took_s))
        else:  # alone: the replies to earlier calls may have been lost with the actor
            self._alone.append(entry)

    def _retire(self, worker: _Worker) -> None:
        del self._state.workers[worker.number]
        self._workers.stop(worker.number)
        self._waiting.extendleft(reversed(worker.left()))

    def _end(self, ended: TaskEnded) -> None:
        if not self._ordered:
            self._over.append(ended)
            return
        self._early[ended.number] = ended
        turn = self._given + len(self._over)
        while turn in self._early:
            self._over.append(self._early.pop(turn))
            turn += 1
