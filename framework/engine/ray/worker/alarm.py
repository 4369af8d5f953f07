"""An alarm clock for an event loop, finer than the loop's own milliseconds if the system has timerfd."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

from framework.core.time import MILLISECOND, NEVER, SECOND

_CLOCK_MONOTONIC, _NONBLOCK, _CLOEXEC = 1, os.O_NONBLOCK, getattr(os, "O_CLOEXEC", 0)


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_ = [("interval", _Timespec), ("value", _Timespec)]


class Alarm:
    """Calls `ring` at the time last `set`, or soon after. One time is pending at once: a new one replaces it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], int], ring: Callable[[], None]) -> None:
        self.at = NEVER
        self._loop, self._now, self._ring = loop, now, ring
        self._handle: asyncio.TimerHandle | None = None
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._fd = -1
        if self._libc is not None:
            self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK | _CLOEXEC)
            if self._fd >= 0:
                loop.add_reader(self._fd, self._expired)

    def set(self, at: int) -> None:
        """Rings at `at`, by the clock `now`."""
        self.at = at
        wait = max(1_000, at - self._now())
        if self._fd >= 0:
            assert self._libc is not None
            spec = _Itimerspec(_Timespec(0, 0), _Timespec(wait // SECOND, wait % SECOND))
            self._libc.timerfd_settime(self._fd, 0, ctypes.byref(spec), None)
        else:
            if self._handle is not None:
                self._handle.cancel()
            self._handle = self._loop.call_later(max(wait, MILLISECOND) / SECOND, self._fire)

    def close(self) -> None:
        self.at = NEVER
        if self._handle is not None:
            self._handle.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _expired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set anew between the expiry and this call
            return
        self._fire()

    def _fire(self) -> None:
        self.at = NEVER
        self._ring()
