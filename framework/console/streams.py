"""stdout and stderr of a command. Writing to them never raises, so that the exit code does not depend on the reader.

- A character that the encoding lacks is written as its escape: `\\u2014`.
- If the reader has gone (`| head -1`), or the stream was closed before (`>&-`), the command goes on and its output is
  discarded. The exit code is that of its work.
- If stdout cannot be written to (its disk is full), the command goes on. `GuardedStream.failure` has the reason, and
  `GuardedStream.verdicts` the lost lines that scripts read.
"""

from __future__ import annotations

import io
import os
import select
import sys

VERDICT_LINES = (b"verdict: ", b"run: ")
"""The beginnings of the last lines on stdout, which scripts read."""

_LOST_BYTES = 1 << 16
"""The number of unwritten bytes, at the end of the output, that are searched for verdicts."""


class GuardedStream(io.RawIOBase):
    """The raw end of a standard stream. Accepts all writes, and discards bytes that cannot be written."""

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
            except BlockingIOError:  # the parent process made the pipe non-blocking
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
        """The lost lines that scripts read."""
        return [line.decode(errors="replace") for line in self._lost.splitlines() if line.startswith(VERDICT_LINES)]


def guard() -> GuardedStream:
    """Replaces `sys.stdout` and `sys.stderr` with streams that never raise. Returns the raw end of stdout."""
    _fill_gaps()
    stdout, stderr = GuardedStream(1), GuardedStream(2)
    unbuffered = getattr(sys.stdout, "write_through", False)  # python -u
    sys.stdout = _text(stdout if unbuffered else io.BufferedWriter(stdout), sys.stdout, line_buffering=stdout.isatty())
    # Unbuffered: a signal handler may print in the middle of another line.
    sys.stderr = _text(stderr, sys.stderr, line_buffering=True)
    return stdout


def _text(end: io.BufferedWriter | GuardedStream, before: object, *, line_buffering: bool) -> io.TextIOWrapper:
    """Returns a text stream with the encoding of the one `before`, which is None if that stream was closed."""
    encoding = getattr(before, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        end,  # type: ignore[arg-type]
        encoding=encoding, errors="backslashreplace", newline="\n" if os.linesep == "\n" else None,
        line_buffering=line_buffering, write_through=isinstance(end, GuardedStream),
    )  # fmt: skip


def _fill_gaps() -> None:
    """Opens closed standard descriptors: otherwise the next file to be opened would get one, and the printed output."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free descriptor
