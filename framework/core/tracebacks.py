"""One-line summaries of exceptions: the error, and the innermost place in the author's own code."""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from framework.core.errors import RAISED, PluginError, PluginFailed, SynodError, abbreviated

LONGEST_WORD, LONGEST_LINE = 200, 2_000
"""Limits of what is printed, in characters: of one word (say a number of a thousand digits) and of one line."""

_HEAD, _TAIL = 40, 20
_LONG_WORD = re.compile(rf"[^\s/\\]{{{LONGEST_WORD + 1},}}")
_ROOT = str(Path(__file__).resolve().parents[2])
_FRAME = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+),? in (?P<function>\S+)')
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_NO_AUTHORS = re.compile(
    r"[/\\]framework[/\\](core|engine|verify|sweep)[/\\]|[/\\]lib[/\\]python3\.\d+[/\\](?!site-packages[/\\])"
)
_OURS = tuple(os.path.join(_ROOT, name, "") for name in ("framework", "plugins", "experiments", "tests"))
_LIBRARY = (os.path.join(os.path.dirname(os.__file__), ""), "<")


def error_line(error: BaseException) -> str:
    """Returns `KeyError: 'x'`: type and message on one line, shortened if long, even if `__str__` raises."""
    try:
        text = str(error)
    except Exception:  # the exception's own __str__ may be broken
        text = "its message cannot be printed"
    return one_line(f"{type(error).__name__}: {text}").rstrip(": ")


def one_line(text: str) -> str:
    """Returns `text` on one line, without lone surrogates; very long words and a long line lose their middle."""
    line = printable(" ".join(text.split()))
    line = _LONG_WORD.sub(lambda word: f"{word[0][:_HEAD]}…{word[0][-_TAIL:]} ({len(word[0]):,} characters)", line)
    return abbreviated(line, LONGEST_LINE)


def printable(text: str) -> str:
    """Returns `text` with each lone surrogate written as `\\udcff`, since no encoding can hold it."""
    return text if text.isascii() else utf8(text).decode()


def utf8(text: str) -> bytes:
    """The bytes of `printable(text)`."""
    return text.encode(errors="backslashreplace")


def place(error: BaseException, *owners: Any) -> str:
    """Returns the innermost place of `error` in the files of `owners`, classes and functions of a plugin: `mine.py:12`.

    If there are no owners, or `error` did not pass their files: the innermost place outside Python's library and
    installed packages, or failing that the innermost of all. "" if the error was never raised.
    """
    frames = _frames(error)
    homes = tuple(home for owner in owners if (home := _home(owner)))
    theirs = [frame for frame in frames if homes and frame[0].startswith(homes)]
    known = theirs or [frame for frame in frames if not _is_library(frame[0])] or frames
    return f"{shown(known[-1][0])}:{known[-1][1]}" if known else ""


def summed_up(traceback: str) -> str:
    """Summarizes the text of a traceback: `KeyError: 'x' in on_vote (mine.py:12)`.

    The place is the innermost one outside Python's library and the framework's own engines; left out if there is none.
    """
    lines = traceback.rstrip().splitlines()
    last = max((number for number, line in enumerate(lines) if _FRAME.match(line)), default=-1)
    raised = next((number for number, line in enumerate(lines) if number > last and line[:1].strip()), len(lines))
    what = one_line(" ".join(lines[raised:])).removeprefix(f"{SynodError.__module__}.").rstrip(".")
    frames = [frame for line in lines if (frame := _FRAME.match(line))]
    theirs = [frame for frame in frames if not _NO_AUTHORS.search(frame["file"])]
    return f"{what} in {theirs[-1]['function']} ({shown(theirs[-1]['file'])}:{theirs[-1]['line']})" if theirs else what


def innermost(stack: str) -> str:
    """Returns the innermost place of a thread's stack as faulthandler prints it: `in on_vote (mine.py:12)`.

    faulthandler prints the most recent call first. The place is the first one outside Python's library and the
    framework's own engines, or failing that the first of all; "" for an empty stack.
    """
    frames = [frame for line in stack.splitlines() if (frame := _FRAME.match(line))]
    known = [frame for frame in frames if not _NO_AUTHORS.search(frame["file"])] or frames
    return f"in {known[0]['function']} ({shown(known[0]['file'])}:{known[0]['line']})" if known else ""


def defined_at(owner: Any) -> str:
    """Returns where a class or function is defined, as `mine.py:3`; its module if Python cannot find the source."""
    plain = _plain(owner)
    try:
        return f"{shown(str(inspect.getsourcefile(plain)))}:{inspect.getsourcelines(plain)[1]}"
    except (OSError, TypeError):  # built in, or made without a file
        return str(getattr(plain, "__module__", "?"))


def shown(file: str | Path) -> str:
    """Returns a file's path as a user would type it: relative to the working directory or the project, if below one."""
    bases = [_ROOT]
    with suppress(OSError):  # the working directory may have been removed
        bases.insert(0, os.getcwd())
    for base in bases:
        if Path(file).is_relative_to(base):
            return str(Path(file).relative_to(base))
    return str(file)


def plugin_raised(where: str, call: str, error: BaseException, owner: Any) -> PluginFailed:
    """Builds the PluginFailed for an exception raised by `call` (`next`) of the plugin `where` (`workload mine`).

    `owner` is the plugin's class or function. A PluginError already says what to do: its text stays as it is.
    """
    found = place(error, owner)
    at = f" ({found})" if found else ""
    if isinstance(error, PluginError):
        return PluginFailed(where, one_line(f"{error.where}: {error.what}".rstrip(".")) + at, error.fix)
    return PluginFailed(where, f"{call} raised {error_line(error)}{at}", _missing_call(error))


def plugin_gave(where: str, call: str, value: Any, wanted: str, owner: Any) -> PluginFailed:
    """Builds the PluginFailed for a call of the plugin `where` that returned `value` where `wanted` was expected.

    `owner` is the plugin's class or function.
    """
    try:
        given = "None" if value is None else f"{_ADDRESS.sub('', repr(value))} ({type(value).__name__})"
    except Exception:  # the value's own __repr__ may be broken
        given = f"a value of type {type(value).__name__}"
    return PluginFailed(where, f"{call} returned {one_line(given)}, expected {wanted} ({defined_at(owner)})")


def check_initialized(part: object, attribute: str, where: str = "") -> None:
    """Raises PluginError, or PluginFailed of the plugin `where`, if `part` lacks an attribute that the constructor of
    its base class sets."""
    if hasattr(part, attribute):
        return
    cls = type(part)
    what = f"{cls.__qualname__}.__init__ does not call that of its base class ({defined_at(cls)})"
    if where:
        raise PluginFailed(where, what, _super_call(cls))
    raise PluginError(cls.__qualname__, "its __init__ does not call that of its base class", _super_call(cls))


def _missing_call(error: BaseException) -> str:
    """Returns the remedy for an attribute that is missing because a constructor did not call that of its base class;
    "" for any other error."""
    if not isinstance(error, AttributeError) or error.obj is None:
        return ""
    cls: Any = type(error.obj)
    base = _base(cls)
    is_set_there = base is not None and error.name in base.__init__.__code__.co_names
    return _super_call(cls) if is_set_there and cls.__init__ is not base.__init__ else ""


def _super_call(cls: type) -> str:
    base: Any = _base(cls)
    names = [] if base is None else list(inspect.signature(base.__init__).parameters)[1:]
    return f"Call super().__init__({', '.join(names)}) in {cls.__qualname__}.__init__."


def _base(cls: type) -> Any:
    """Returns the first of the framework's classes that `cls` derives from and that has a constructor, or None."""
    bases = [base for base in cls.__mro__ if base.__module__.startswith("framework.")]
    return next((base for base in bases if inspect.isfunction(vars(base).get("__init__"))), None)


@contextmanager
def blaming(where: str, call: str, owner: Any, *allowed: type[Exception]) -> Iterator[None]:
    """Converts exceptions raised in the `with` block to the PluginFailed of `plugin_raised`.

    PluginFailed, MemoryError and the types in `allowed` pass unchanged. No other error of Synod does: within the step
    of a node it would count as the node's own.
    """
    try:
        yield
    except RAISED as error:
        if isinstance(error, (PluginFailed, MemoryError, *allowed)):
            raise
        raise plugin_raised(where, call, error, owner) from error


def _frames(error: BaseException) -> list[tuple[str, int]]:
    """Returns (file, line) of each call that `error` passed, the outermost first; a SyntaxError adds its own place."""
    frames: list[tuple[str, int]] = []
    trace = error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno or 1))
    return frames


def _is_library(file: str) -> bool:
    if file.startswith(_OURS):
        return False
    return file.startswith(_LIBRARY) or not os.path.isabs(file) or "site-packages" in Path(file).parts


def _plain(owner: Any) -> Any:
    """Returns the function or class behind a partial, a decorated function, a bound method or a callable instance."""
    while isinstance(owner, functools.partial):
        owner = owner.func
    owner = inspect.unwrap(owner) if callable(owner) else owner
    return owner if hasattr(owner, "__module__") and hasattr(owner, "__qualname__") else type(owner)


def _home(owner: Any) -> str:
    """Returns the file of the module that defines `owner`, or its outermost package's folder; "" if there is none."""
    name = str(getattr(_plain(owner), "__module__", ""))
    outermost = sys.modules.get(name.partition(".")[0])
    file = getattr(outermost, "__file__", None)
    if file is None:
        return ""
    return os.path.join(os.path.dirname(file), "") if hasattr(outermost, "__path__") else str(file)
