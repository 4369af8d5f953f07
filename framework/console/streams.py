"""stdout and stderr of a command: writing to them never raises, so that no exit code depends on who reads them.

- A character that the encoding lacks is written as its escape: `\\u2014`.
- Nobody reads any more (`| head -1`), or the stream was closed before (`>&-`): the command goes on, and what it prints is
  discarded. Its exit code is that of its work.
- stdout cannot be written to (its disk is full): the command goes on. `GuardedStream.failure` says why, and `GuardedStream.verdicts` has
  the lines among the lost ones that scripts read.
"""

from __future__ import annotations

import io
import os
import select
import sys

VERDICT_LINES = (b"verdict: ", b"run: ")
"""How the last lines on stdout begin."""

_LOST_BYTES = 1 << 16
"""Of what could not be written, so much is looked through for verdicts: the end of it."""


class GuardedStream(io.RawIOBase):
    """The raw end of a standard stream. Takes everything; what cannot be written is discarded."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.failure = ""
        self._descriptor = descriptor
        self._broken = False
        self._lost = b""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: object) -> int:
        left = memoryview(data).cast("B")  # type: ignore[arg-type]
        size = len(left)
        while left and not self._broken:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # whoever started the command made the pipe so
                select.select([], [self._descriptor], [])
            except BrokenPipeError:
                self._broken = True
            except OSError as error:
                self._broken, self.failure = True, error.strerror or type(error).__name__
        if left:
            self._lost = (self._lost + bytes(left))[-_LOST_BYTES:]
        return size

    @property
    def verdicts(self) -> list[str]:
        """The lines that scripts read, among those that were lost."""
        return [line.decode(errors="replace") for line in self._lost.splitlines() if line.startswith(VERDICT_LINES)]


def guard() -> GuardedStream:
    """Puts streams that never raise into the place of `sys.stdout` and `sys.stderr`; returns the end of stdout."""
    _fill_gaps()
    stdout, stderr = GuardedStream(1), GuardedStream(2)
    unbuffered = getattr(sys.stdout, "write_through", False)  # python -u
    sys.stdout = _text(stdout if unbuffered else io.BufferedWriter(stdout), sys.stdout, line_buffering=stdout.isatty())
    # Unbuffered: a signal handler may print in the middle of another line.
    sys.stderr = _text(stderr, sys.stderr, line_buffering=True)
    return stdout


def _text(end: io.BufferedWriter | GuardedStream, before: object, *, line_buffering: bool) -> io.TextIOWrapper:
    """A text stream with the encoding of the one `before`, which is None where the stream was closed."""
    encoding = getattr(before, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        end,  # type: ignore[arg-type]
        encoding=encoding, errors="backslashreplace", newline="\n" if os.linesep == "\n" else None,
        line_buffering=line_buffering, write_through=isinstance(end, GuardedStream),
    )  # fmt: skip


def _fill_gaps() -> None:
    """A closed standard descriptor would be that of the next file which is opened, and get what is printed."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest that is free
