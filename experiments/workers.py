"""Runs of a study in processes of their own, that end in order when the study is interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

AT_ONCE_S = 1.0
"""What a run takes longer than that to end is waited for with a word."""


@contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own. It alone is told of a Ctrl-C, once, and ends in order before KeyboardInterrupt
    rises."""
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
