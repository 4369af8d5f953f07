"""The command `synod COMMAND …`, which has all commands under one name: `synod run …` is `python -m framework.run …`.

`synod` searches the current folder for modules last; `python -m` searches it first. A project that has its own folder
named `framework` or `experiments` can therefore use `synod`, but not `python -m`.

A command imports only the modules that it needs; neither this module nor `--help` loads anything heavy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from framework.console.entry import carried_out, exit_with

COMMANDS = {
    "run": "runs an experiment, or with -m a sweep, and checks what the clients saw",
    "report": "writes the report of a run, a sweep or a folder of runs as one HTML file",
    "runs": "lists the runs of a folder, with their verdicts",
    "replay": "replays a run, reports where it differs, and shows what happened",
    "shrink": "finds a smaller experiment that fails in the same way",
    "check": "checks recorded histories of any system",
    "export": "writes a run for Perfetto, ShiViz, Jepsen, or as Parquet or CSV",
    "plugins": "lists the installed plugins and their settings",
    "new": "writes a plugin of any kind, with its experiment and its tests",
}
"""The commands with one-line summaries. `NAME` is the module `framework.NAME`."""

_HELP = ("-h", "--help")
_VERSION = "--version"


def main() -> NoReturn:
    """Runs the command that the first word names, and exits with its code. The installed script `synod` calls this."""
    _look_here_last()
    exit_with(lambda: carried_out(lambda: _carry_out(sys.argv[1:])))


def _carry_out(words: Sequence[str]) -> int:
    from importlib import import_module

    if not words or words[0] in _HELP:
        print(_help())
        return 0
    if words[0] == _VERSION:
        print(_version())
        return 0
    command, *rest = words
    if command not in COMMANDS:
        raise _unknown(command, rest)
    code: int = import_module(f"framework.{command}.__main__").main(rest)
    return code


def _look_here_last() -> None:
    """Appends Synod's own folder, then the current folder, to the module search path.

    Loose plugins may import modules from the current folder. Synod's own folder is not on the path of an editable
    installation.
    """
    import framework

    ours = os.path.dirname(os.path.dirname(os.path.abspath(str(framework.__file__))))
    with suppress(FileNotFoundError):  # the current folder has been removed
        sys.path += [folder for folder in (ours, os.getcwd()) if folder not in sys.path]


def _help() -> str:
    return "\n".join(
        [
            "usage: synod COMMAND …",
            "",
            "Synod, a laboratory for distributed protocols.",
            "",
            "commands:",
            *(f"  {name:<9} {summary}" for name, summary in COMMANDS.items()),
            "",
            "help:",
            "  synod COMMAND --help             the arguments and flags of a command",
            "  synod run protocol=raft --help   the settings of an option, with their meanings",
            "  synod --version                  the version of Synod",
            "",
            "Exit code: 0 done, or verdict valid; 1 verdict invalid; 2 anything else.",
        ]
    )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"synod {version('synod')}"
    except PackageNotFoundError:
        return "synod, not installed"


def _unknown(command: str, rest: Sequence[str]) -> Exception:
    from framework.core.command_line import command_line
    from framework.core.errors import ConfigError, did_you_mean

    if "=" in command and not command.startswith("-"):
        what, fix = "is not a command", f"Did you mean {command_line('framework.run', command, *rest)}?"
    elif command.startswith("-"):
        what, fix = "is not a flag of synod", f"{did_you_mean(command, ['--help', _VERSION])} A command comes first."
    else:
        what, fix = "is not a command", did_you_mean(command, COMMANDS)
    return ConfigError("synod", f"{command!r} {what}", f"{fix} See synod --help.")
