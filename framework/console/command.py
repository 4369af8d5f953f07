"""What every command has in common: how it reads its words, and how it ends on a mistake."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from framework.core.errors import WIDEST_LINE, ConfigError, PluginError, abbreviated, did_you_mean
from framework.core.time import parse_duration

MISTAKE = 2
"""The exit code of a command that could not do what it was asked to."""


class Parser(argparse.ArgumentParser):
    """The flags of `python -m COMMAND`. Its complaints are ConfigErrors; no flag is taken half spelt."""

    def __init__(self, command: str, description: str, **options: Any) -> None:
        super().__init__(prog=f"python -m {command}", description=description, allow_abbrev=False, **options)
        self._command = command

    def read(self, words: Sequence[str] | None) -> argparse.Namespace:
        """What was asked for by `words` (None: by the command line). ConfigError for what cannot be read."""
        asked, unknown = self.parse_known_intermixed_args(words)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            flag = unknown[0].partition("=")[0]
            fix = did_you_mean(flag, flags) if flag.startswith("-") else self._help()
            raise ConfigError(self._command, f"{unknown[0]} means nothing here", fix)
        return asked

    def error(self, message: str) -> NoReturn:
        told, _, meant = message.removeprefix("argument ").partition(". Did you mean")
        raise ConfigError(self._command, told, f"Did you mean{meant} {self._help()}" if meant else self._help())

    def _help(self) -> str:
        return f"See {self.prog} --help."


def count(text: str) -> int:
    """A flag's whole number of at least 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def whole(text: str) -> int:
    """A flag's whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def duration(text: str) -> int:
    """A flag's `1.5s`, in nanoseconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """Takes a flag's value if it is one of `names`, and else suggests the nearest."""
    known = list(names)

    def chosen(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"there is no {text!r}. {did_you_mean(text, known)}".rstrip("."))
        return text

    return chosen


def carried_out(work: Callable[[], int], interrupted: str = "interrupted") -> int:
    """The exit code of `work`; a mistake and Ctrl-C are a line on stderr each, and MISTAKE."""
    try:
        return work()
    except (ConfigError, PluginError) as error:
        print(abbreviated(" ".join(str(error).split()), WIDEST_LINE), file=sys.stderr)
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
    return MISTAKE
