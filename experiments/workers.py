"""Studies on several processes at once: results in order, and an end at once when the study is interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")

AT_ONCE_S = 1.0
"""What a run takes longer than that to end is waited for with a word."""


def in_order(
    work: Callable[..., Result], calls: Sequence[tuple[Any, ...]], processes: int
) -> Generator[Result, None, None]:
    """`work(*call)` of each call, in the order of the calls, on so many processes.

    Whoever stops listening, or is interrupted, ends them at once; what they kept in temporary folders is gone.
    """
    with tempfile.TemporaryDirectory(prefix="synod-study-") as scratch:
        others = set(multiprocessing.active_children())
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(processes, context, _begin, (scratch,))
        try:
            with _deaf():
                waiting = [pool.submit(work, *call) for call in calls]
            for future in waiting:
                yield future.result()
        finally:
            for worker in set(multiprocessing.active_children()) - others:
                worker.kill()
            pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started meanwhile never hear Ctrl-C: the parent alone does, a moment later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(scratch: str) -> None:
    """A worker's start: its temporary folders are its parent's to remove, and it does not outlive it."""
    tempfile.tempdir = scratch
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own. It alone is told of a Ctrl-C, once, and ends in order before KeyboardInterrupt rises."""
    with subprocess.Popen(command, start_new_session=True, text=True, **options) as run:
        try:
            yield run
        except KeyboardInterrupt:
            run.send_signal(signal.SIGINT)
            try:
                run.communicate(timeout=AT_ONCE_S)
            except subprocess.TimeoutExpired:
                print("interrupted: the run under way is being closed", file=sys.stderr)
                run.communicate()
            raise
