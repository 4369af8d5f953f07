"""How a command begins and ends. Every `python -m framework.X`, `python -m experiments.X` and `synod X` goes through here.

    if __name__ == "__main__":  # before all other imports: what they raise is reported as well
        from framework.console.entry import run_as_command

        run_as_command("framework.X")

| exit code | |
| --- | --- |
| 0 | done; of a verdict: valid |
| 1 | invalid, and nothing else (of a study: its answer is no) |
| 2 | unknown, a mistake in what was asked, Ctrl-C, an exception that nobody expected, a stdout that cannot be written to |

Whatever went wrong is one line on stderr. An unexpected exception leaves its traceback in a file that this line names:
`traceback.txt` in the folder of the run, or if there is none yet a temporary file. `framework.console.streams`
describes what happens if stdout or stderr fail.

This module imports nothing but what Python has loaded already: it must work where nothing else can be imported.
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
"""The exit code of a command that could not do what it was asked to."""

TRACEBACK = "traceback.txt"
_TOLD = "its traceback is in {}"


class Answered(SystemExit):
    """A command's flags asked for no more than a text, which is printed: `--help`."""


class Reported(Exception):
    """An unexpected exception whose traceback is in its file already; the text is the line for stderr."""


def run_as_command(module: str) -> NoReturn:
    """Imports `module`, runs its `main(arguments)` and exits with the code that it returns."""
    exit_with(lambda: _main_of(module))


def exit_with(work: Callable[[], int]) -> NoReturn:
    """Exits with the code of `work`, the whole of a command, once all that it printed has left."""
    stdout: list[GuardedStream] = []
    try:
        code = carried_out(lambda: _begun(work, stdout))
        code = _ended(code, stdout)
    except KeyboardInterrupt:  # the second one
        code = MISTAKE
    # A Ctrl-C that passed text which was being executed (as dataclasses do) would make Python end itself by SIGINT after
    # all, though it was caught. The next execution of a text forgets it.
    exec("")
    sys.exit(code)


def carried_out(work: Callable[[], int], interrupted: str = "interrupted") -> int:
    """The exit code of `work`. Whatever it raises is a line on stderr, and MISTAKE."""
    try:
        return work()
    except Answered:
        return 0
    except KeyboardInterrupt:
        say(interrupted)
        return MISTAKE
    except BaseException as error:
        return report(error)


@contextmanager
def keeping_tracebacks(folder: object) -> Iterator[None]:
    """Within it the traceback of an unexpected exception goes into `folder`, which is the run's."""
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
    """Says in one line what went wrong; MISTAKE."""
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
    """The line about an exception that nobody expected. Its traceback goes into `folder`, or a temporary file."""
    try:
        from framework.core.tracebacks import error_line, place

        found = place(error)
        what = f"{error_line(error)} ({found})" if found else error_line(error)
    except Exception:  # no memory for more, or that module is what cannot be imported
        what = f"{type(error).__name__}: {error}"
    return f"unexpected {what}; {_kept(error, folder)}"


def say(text: str) -> None:
    """One line on stderr, whatever is in the text, and whatever has become of stderr."""
    try:
        from framework.core.tracebacks import one_line

        if sys.stderr is not None:
            print(one_line(text), file=sys.stderr, flush=True)
    except Exception:
        with suppress(OSError):  # there is nobody to tell
            os.write(2, (" ".join(text.split()) + "\n").encode(errors="backslashreplace"))


def _main_of(module: str) -> int:
    from importlib import import_module

    code: int = import_module(module).main(sys.argv[1:])
    return code


def _begun(work: Callable[[], int], stdout: list[GuardedStream]) -> int:
    """Runs the command; `stdout` gets the end of the stream that it prints to."""
    from framework.console.streams import guard

    stdout.append(guard())
    return work()


def _ended(code: int, stdout: list[GuardedStream]) -> int:
    """The exit code of a command whose work came to `code`, once all that it printed has left."""
    for end in stdout:
        sys.stdout.flush()
        if end.failure:
            say("; ".join((f"stdout cannot be written to ({end.failure})", *end.verdicts)))
            return code or MISTAKE
    return code


def _free(error: BaseException) -> None:
    """Lets go what the functions held that the error passed: without it there may be no memory left to report with."""
    trace = error.__traceback__
    while trace is not None:
        with suppress(RuntimeError):  # one that is still at work
            trace.tb_frame.clear()
        trace = trace.tb_next


def _is_mistake(error: BaseException) -> bool:
    """Whether the error says in its own words where, what and what to do."""
    errors = sys.modules.get("framework.core.errors")
    return errors is not None and isinstance(error, errors.SynodError)


def _is_plugins(error: BaseException) -> bool:
    return isinstance(error, sys.modules["framework.core.errors"].PluginFailed)


def _kept(error: BaseException, folder: str | None = None) -> str:
    """Writes the traceback; says in which file, or why in none."""
    try:
        import tempfile
        import traceback

        text = "".join(traceback.format_exception(error)).encode(errors="backslashreplace")
        if folder is not None:
            file = os.path.join(folder, TRACEBACK)
            with suppress(OSError), open(file, "wb") as stream:  # its disk may be full, and there is room elsewhere
                stream.write(text)
                return _TOLD.format(file)
        descriptor, file = tempfile.mkstemp(prefix="synod-traceback-", suffix=".txt")
        with open(descriptor, "wb") as stream:
            stream.write(text)
    except Exception as failed:
        return f"its traceback cannot be kept ({type(failed).__name__}: {failed})"
    return _TOLD.format(file)
