"""The command line of a run or a sweep: overrides in Hydra's grammar, and a few flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from framework.config.setting_table import paragraph, row
from framework.core.command_line import command_line, command_name
from framework.core.errors import ConfigError, did_you_mean

COMMAND = "framework.run"
_FLAGS = {
    "--help": "print this text; with options or keys, print their settings and meanings",
    "--cfg job": "print the composed config and do nothing",
    "--config-dir DIR": "a folder of your own config groups, searched after conf/",
    "--quiet": "print only the verdict and the folder",
    "-m, --multirun": "run a sweep: keys may have several values; sweep.KEY=VALUE changes its settings",
    "--resume DIR": "continue the sweep in a folder; overrides replace its own for the same keys",
    "--rerun WHAT": "run again the points of a sweep that were invalid, unknown or failed (several: a,b)",
    "--code any": "also count rows of a sweep that other code produced",
}
_EXAMPLES = (
    "experiment=hello engine=sim",
    "experiment=raft_5nodes engine=sim faults=crash seed=7",
    "experiment=raft_5nodes nodes=3 duration=30s run.dir=runs/mine",
    "experiment=raft_5nodes --cfg job",
    "-m experiment=raft_5nodes engine=sim protocol=raft,multipaxos nodes=3,5 'seed=range(0,100)'",
    "-m sweep=raft_chaos",
    "protocol=raft faults=crash --help",
    "experiment=raft_wan --help",
)
_NAMES = ("--help", "--cfg", "--config-dir", "--quiet", "--multirun", "--resume", "--rerun", "--code")
RERUN = ("invalid", "unknown", "failed")
_WITH_VALUE = {"--config-dir": "", "--resume": "", "--rerun": "", "--cfg": "job", "--code": "any"}
"""Flags that take a value, each with the only value that it accepts; "": any."""


class Arguments(NamedTuple):
    """The parsed command line."""

    overrides: tuple[str, ...] = ()
    config_dir: str | None = None
    help: bool = False
    show_config: bool = False
    quiet: bool = False
    sweep: bool = False
    resume: str | None = None
    rerun: tuple[str, ...] = ()
    any_code: bool = False


def parse(argv: Sequence[str]) -> Arguments:
    """Parses a command line. Raises ConfigError, with a did-you-mean, for an unknown flag."""
    words = list(argv)
    overrides: list[str] = []
    asked = Arguments()
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flag, given, value = word.partition("=")
        if flag in _WITH_VALUE:
            value = value if given else words.pop(0) if words else ""
            asked = _with_value(asked, flag, value)
        elif flag in ("-m", "--multirun") and not given:
            asked = asked._replace(sweep=True)
        elif flag in ("-h", "--help") and not given:
            asked = asked._replace(help=True)
        elif flag in ("-q", "--quiet") and not given:
            asked = asked._replace(quiet=True)
        else:
            raise _unknown(word)
    return _checked(asked._replace(overrides=tuple(overrides)))


def _checked(asked: Arguments) -> Arguments:
    """Returns `asked`, with `sweep` set if --resume is. Raises ConfigError for a flag of sweeps without a sweep."""
    asked = asked._replace(sweep=asked.sweep or asked.resume is not None)
    for flag, given in (("--rerun", asked.rerun), ("--code", asked.any_code)):
        if given and not asked.sweep:
            raise _mistake(f"{flag} is for sweeps", "Add -m, or --resume DIR.")
    return asked


def help_head(width: int = 120) -> str:
    """Returns usage, flags and examples, in lines of at most `width` columns."""
    run = command_line(COMMAND)
    lines = [
        *paragraph(f"usage: {run} experiment=NAME [group=option] [key=value] …", width, "    ", ""),
        "",
        *paragraph(
            "Runs one experiment, checks what its clients saw and keeps a folder with trace and result.", width, ""
        ),
        *paragraph(
            "With -m, runs a sweep: one run for each combination of values, and keeps a row of each run.",
            width,
            "",
        ),
        *paragraph("Exit code: 0 valid, 1 invalid, 2 unknown or any error.", width, ""),
        "",
        "flags:",
        *(line for flag, meaning in _FLAGS.items() for line in row(flag, meaning, width, column=21)),
        "",
        "examples:",
        *(f"  {run} {words}" for words in _EXAMPLES),  # not wrapped: people copy them
    ]
    return "\n".join(lines)


def _with_value(asked: Arguments, flag: str, value: str) -> Arguments:
    if flag in ("--config-dir", "--resume"):
        if not value:
            raise _mistake(f"{flag} needs a folder", f"Write {flag} DIR.")
        return asked._replace(config_dir=value) if flag == "--config-dir" else asked._replace(resume=value)
    if flag == "--rerun":
        kinds = tuple(value.split(","))
        wrong = next((kind for kind in kinds if kind not in RERUN), None)
        if wrong is not None:
            raise _mistake(f"--rerun {wrong}".rstrip() + " is not known", did_you_mean(wrong, RERUN))
        return asked._replace(rerun=kinds)
    only = _WITH_VALUE[flag]
    if value != only:
        raise _mistake(f"{flag} {value}".rstrip() + " is not known", f"Write {flag} {only}.")
    return asked._replace(show_config=True) if flag == "--cfg" else asked._replace(any_code=True)


def _mistake(what: str, fix: str) -> ConfigError:
    return ConfigError(command_name(COMMAND), what, fix)


def _unknown(word: str) -> ConfigError:
    return _mistake(f"unknown flag {word}", did_you_mean(word.partition("=")[0], _NAMES))
