"""The entry point of every command: `python -m framework.X`, `python -m experiments.X` and `synod X` run through here.

    if __name__ == "__main__":  # before all other imports, so that their errors are reported too
        from framework.console.entry import run_as_command

        run_as_command("framework.X")

| exit code | |
| --- | --- |
| 0 | done; if the command gives a verdict, it is valid |
| 1 | the verdict is invalid, nothing else (for a study: the answer is no) |
| 2 | unknown, a user's mistake, Ctrl-C, an unexpected exception, a stdout that cannot be written to |

Every error is one line on stderr. An unexpected exception leaves its traceback in a file that this line names:
`traceback.txt` in the folder of the run, or a temporary file if there is no folder yet. `framework.console.streams`
describes what happens if stdout or stderr fail.

This module imports only modules that Python has already loaded: it must work even if nothing else can be imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from framework.console.streams import GuardedStream

MISTAKE = 2
"""The exit code of a command that could not do what the user asked for."""

TRACEBACK = "traceback.txt"
_TOLD = "its traceback is in {}"


class CommandAnswered(SystemExit):
    """Signals that a command is done: its flags, such as `--help`, only asked for a text, which is printed."""


class Reported(Exception):
    """Signals an unexpected exception whose traceback is already in a file. The text is the line for stderr."""


def run_as_command(module: str) -> NoReturn:
    """Imports `module`, runs its `main(arguments)` and exits with the code that it returns."""
    exit_with(lambda: _main_of(module))


def exit_with(work: Callable[[], int]) -> NoReturn:
    """Runs `work`, a whole command, and exits with its code after flushing its output."""
    stdout: list[GuardedStream] = []
    try:
        code = carried_out(lambda: _begun(work, stdout))
        code = _ended(code, stdout)
    except KeyboardInterrupt:  # the second one
        code = MISTAKE
    # If a Ctrl-C was raised through a running `exec` of a string (dataclasses use it), Python would still end itself by
    # SIGINT, although the exception was caught. The next `exec` of a string resets that.
    exec("")
    sys.exit(code)


def carried_out(work: Callable[[], int], interrupted: str = "interrupted") -> int:
    """Runs `work` and returns its exit code. If it raises, writes a line to stderr and returns MISTAKE."""
    try:
        return work()
    except CommandAnswered:
        return 0
    except KeyboardInterrupt:
        say(interrupted)
        return MISTAKE
    except BaseException as error:
        return report(error)


@contextmanager
def keeping_tracebacks(folder: object) -> Iterator[None]:
    """While active, writes the traceback of an unexpected exception into `folder`, the run's, and raises Reported."""
    try:
        yield
    except (KeyboardInterrupt, Reported):
        raise
    except BaseException as error:
        if _is_mistake(error):
            raise
        if isinstance(error, MemoryError):
            _free(error)
        raise Reported(unexpected(error, str(folder))) from error


def report(error: BaseException) -> int:
    """Writes the error to stderr as one line. Returns MISTAKE."""
    if isinstance(error, MemoryError):
        _free(error)
    if isinstance(error, Reported):
        say(str(error))
    elif not _is_mistake(error):
        say(unexpected(error))
    elif _is_plugins(error) and error.__cause__ is not None:
        say(f"{str(error).rstrip('.')}; {_kept(error)}")
    else:
        say(str(error))
    return MISTAKE


def unexpected(error: BaseException, folder: str | None = None) -> str:
    """Returns the line for an unexpected exception. Writes its traceback into `folder`, or into a temporary file."""
    try:
        from framework.core.tracebacks import error_line, place

        found = place(error)
        what = f"{error_line(error)} ({found})" if found else error_line(error)
    except Exception:  # out of memory, or that module is the one that cannot be imported
        what = f"{type(error).__name__}: {error}"
    return f"unexpected {what}; {_kept(error, folder)}"


def say(text: str) -> None:
    """Writes one line to stderr. Never raises, whatever the text is and even if stderr is closed."""
    try:
        from framework.core.tracebacks import one_line

        if sys.stderr is not None:
            print(one_line(text), file=sys.stderr, flush=True)
    except Exception:
        with suppress(OSError):  # stderr is closed too
            os.write(2, (" ".join(text.split()) + "\n").encode(errors="backslashreplace"))


def _main_of(module: str) -> int:
    from importlib import import_module

    code: int = import_module(module).main(sys.argv[1:])
    return code


def _begun(work: Callable[[], int], stdout: list[GuardedStream]) -> int:
    """Runs the command with guarded streams. Appends the guarded stdout to `stdout`."""
    from framework.console.streams import guard

    stdout.append(guard())
    return work()


def _ended(code: int, stdout: list[GuardedStream]) -> int:
    """Flushes stdout. Returns `code`, or MISTAKE instead of 0 if stdout could not be written to."""
    for end in stdout:
        sys.stdout.flush()
        if end.failure:
            say("; ".join((f"stdout cannot be written to ({end.failure})", *end.verdicts)))
            return code or MISTAKE
    return code


def _free(error: BaseException) -> None:
    """Clears the frames of the error's traceback: otherwise there may be too little memory left for the report."""
    trace = error.__traceback__
    while trace is not None:
        with suppress(RuntimeError):  # the frame is still executing
            trace.tb_frame.clear()
        trace = trace.tb_next


def _is_mistake(error: BaseException) -> bool:
    """Returns whether the error is one of Synod's own, whose text says where, what and what to do."""
    errors = sys.modules.get("framework.core.errors")
    return errors is not None and isinstance(error, errors.SynodError)


def _is_plugins(error: BaseException) -> bool:
    return isinstance(error, sys.modules["framework.core.errors"].PluginFailed)


def _kept(error: BaseException, folder: str | None = None) -> str:
    """Writes the traceback to a file. Returns a phrase that names the file, or the reason why there is none."""
    try:
        import tempfile
        import traceback

        text = "".join(traceback.format_exception(error)).encode(errors="backslashreplace")
        if folder is not None:
            file = os.path.join(folder, TRACEBACK)
            with (
                suppress(OSError),
                open(file, "wb") as stream,
            ):  # its disk may be full: falls through to a temporary file
                stream.write(text)
                return _TOLD.format(file)
        descriptor, file = tempfile.mkstemp(prefix="synod-traceback-", suffix=".txt")
        with open(descriptor, "wb") as stream:
            stream.write(text)
    except Exception as failed:
        return f"its traceback cannot be kept ({type(failed).__name__}: {failed})"
    return _TOLD.format(file)
