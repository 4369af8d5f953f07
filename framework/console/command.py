"""How a command reads its words: flags, numbers, durations, names."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from framework.console.entry import Answered
from framework.core.command_line import command_line, command_name
from framework.core.errors import ConfigError, did_you_mean
from framework.core.time import parse_duration

_DIGITS = 18
"""A number of more is no count of anything."""


class Parser(argparse.ArgumentParser):
    """The flags of the command that the module `command` is. Its complaints are ConfigErrors; no flag is taken half spelt."""

    def __init__(self, command: str, description: str, **options: Any) -> None:
        super().__init__(prog=command_line(command), description=description, allow_abbrev=False, **options)
        self._command = command_name(command)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """What was asked for by `words`. ConfigError for what cannot be read."""
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

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """After --help, whose text is printed."""
        raise Answered(status)

    def _help(self) -> str:
        return f"See {self.prog} --help."


def number(text: str) -> int | None:
    """The whole number that `text` is, of at least 0; None if it is none, or has more digits than any count."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else None


def count(text: str) -> int:
    """A flag's whole number of at least 1."""
    found = number(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return found


def whole(text: str) -> int:
    """A flag's whole number of at least 0."""
    found = number(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return found


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
