"""Orderly Ctrl-C: each phase of a run can be interrupted once, and the writing of files not at all."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Inside the context, SIGINT and SIGTERM raise KeyboardInterrupt only within `allowed()`, and only once.

    A second Ctrl-C therefore cannot disturb the end of a run, when its files are closed. Outside the main thread, which
    receives no signals, entering the context has no effect.
    """

    def __init__(self) -> None:
        self.count = 0
        self._armed = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._arrived) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Delimits a phase that may be interrupted once. A second signal in it only prints a message."""
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self._armed:
            self._armed = False
            raise KeyboardInterrupt
        print("interrupted: the run is being closed, its files are kept", file=sys.stderr)
