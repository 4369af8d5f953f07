"""Limits on the time and memory of one call. Only the memory limit raises an exception in the call: MemoryError."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

IS_LINUX = sys.platform == "linux"


@dataclass(frozen=True)
class Limits:
    """The limits of one call. `memory`: bytes that it may allocate beyond its worker's own (Linux only)."""

    timeout_s: float | None = None
    memory: int | None = None


NO_LIMITS = Limits()


@contextmanager
def limited(limits: Limits, dump: IO[str]) -> Iterator[None]:
    """Enforces `limits` on the body. When the time is up, the process writes its stack to `dump` and exits with code 1.

    A native thread does that, so it also ends a body that never returns from a C function.
    """
    if limits.timeout_s is not None:
        faulthandler.dump_traceback_later(limits.timeout_s, exit=True, file=dump)
    if limits.memory is not None:
        limit_memory(limits.memory)
    try:
        yield
    finally:
        limit_memory(None)
        if limits.timeout_s is not None:
            faulthandler.cancel_dump_traceback_later()


def limit_memory(size: int | None) -> None:
    """Limits this process to `size` bytes beyond its current allocation; None: no limit.

    Allocations beyond that raise MemoryError. A call may set the limit again after its set-up; it is lifted at the end
    of the call. The limit counts private writable mappings (the kernel's VmData), touched or not: a thread costs its
    whole stack. Linux only: has no effect elsewhere.
    """
    if not IS_LINUX:
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if size is None:
        soft = most
    else:
        soft = _data_size(resource.getpagesize()) + size
        soft = soft if most == resource.RLIM_INFINITY else min(soft, most)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, most))


def _data_size(page: int) -> int:
    """Returns VmData plus the stack, in bytes."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read().split()[5]) * page
