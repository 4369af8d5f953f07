"""Parses the words of a command: flags, numbers, durations, names."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from framework.console.entry import CommandAnswered
from framework.core.command_line import command_line, command_name
from framework.core.errors import ConfigError, did_you_mean
from framework.core.time import parse_duration

_DIGITS = 18
"""The maximum number of digits in a count."""


class Parser(argparse.ArgumentParser):
    """Parses the flags of the command `command`, a module. Its errors are ConfigErrors. Flags cannot be abbreviated."""

    def __init__(self, command: str, description: str, **options: Any) -> None:
        super().__init__(prog=command_line(command), description=description, allow_abbrev=False, **options)
        self._command = command_name(command)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Parses `words`. Raises ConfigError for words that cannot be parsed."""
        asked, unknown = self.parse_known_intermixed_args(words)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            flag = unknown[0].partition("=")[0]
            fix = did_you_mean(flag, flags) if flag.startswith("-") else self._help()
            raise ConfigError(self._command, f"unknown argument {unknown[0]}", fix)
        return asked

    def error(self, message: str) -> NoReturn:
        told, _, meant = message.removeprefix("argument ").partition(". Did you mean")
        raise ConfigError(self._command, told, f"Did you mean{meant} {self._help()}" if meant else self._help())

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raises CommandAnswered. Called after --help has printed its text."""
        raise CommandAnswered(status)

    def _help(self) -> str:
        return f"See {self.prog} --help."


def number(text: str) -> int | None:
    """Parses a whole number of at least 0. Returns None if `text` is not one, or has too many digits for a count."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else None


def count(text: str) -> int:
    """Parses a flag's whole number of at least 1."""
    found = number(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return found


def whole(text: str) -> int:
    """Parses a flag's whole number of at least 0."""
    found = number(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return found


def duration(text: str) -> int:
    """Parses a flag's duration, such as `1.5s`, into nanoseconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """Returns a parser that accepts one of `names` as a flag's value, and otherwise suggests the nearest."""
    known = list(names)

    def chosen(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"unknown value {text!r}. {did_you_mean(text, known)}".rstrip("."))
        return text

    return chosen
