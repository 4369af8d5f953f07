"""What one call may take. No limit raises an exception in the middle of the call, except that memory ends in MemoryError."""

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
    """`timeout_s`: how long one call may take. `memory`: bytes that it may allocate above what its worker has (Linux only)."""

    timeout_s: float | None = None
    memory: int | None = None


NO_LIMITS = Limits()


@contextmanager
def limited(limits: Limits, dump: IO[str]) -> Iterator[None]:
    """Holds the body to `limits`. If its time is up, the process writes its stack into `dump` and ends with code 1.

    A thread without Python does that: it also ends a body that never leaves a C function.
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
    """Lets this process allocate `size` more bytes than it has now, and no more; None: as many as it can get.

    Whatever allocates beyond raises MemoryError. A call may set the limit anew once it is set up; it is lifted at the call's
    end. Counted are private writable mappings (the kernel's VmData), whether touched or not: a thread costs its whole stack.
    Linux only: elsewhere nothing is limited.
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
    """VmData and the stack, in bytes."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read().split()[5]) * page
