"""Seeds on several processes at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from experiments.soak.seeds import Course, Outcome

CHUNK = 4
"""Seeds that a process takes at a time."""

_courses: list[Course] = []  # of a worker process, for its whole life


def outcomes(course: Course, seeds: Sequence[int], processes: int) -> Iterator[Outcome]:
    """The outcomes of the seeds in their order. KeyboardInterrupt if one was interrupted."""
    if processes == 1 or len(seeds) < 2:
        yield from map(_whole, map(course.run, seeds))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(seeds)), context, _begin, (course.overrides,)) as pool:
        try:
            yield from map(_whole, pool.map(_run, seeds, chunksize=CHUNK))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _whole(outcome: Outcome | None) -> Outcome:
    if outcome is None:
        raise KeyboardInterrupt
    return outcome


def _begin(overrides: tuple[str, ...]) -> None:
    """A worker's start. The parent alone hears Ctrl-C, and lets the workers end what they are at; they do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _courses.append(Course.of(overrides))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(seed: int) -> Outcome | None:
    return _courses[0].run(seed)
