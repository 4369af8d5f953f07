"""The command line of a run: overrides in Hydra's grammar, and a handful of flags."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from framework.core.errors import ConfigError, did_you_mean

WHERE = "framework.run"
USAGE = "python -m framework.run experiment=NAME [group=option] [key=value] …"
_FLAGS = {
    "--help": "this text",
    "--cfg job": "print the composed config and do nothing",
    "--config-dir DIR": "a folder of your own config groups, searched besides conf/",
    "--quiet": "print the verdict and the run's folder, nothing else",
}
_NAMES = tuple(flag.split()[0] for flag in _FLAGS)
_RUN_DIR = re.compile(r"^[+~]*run\.dir(=|$)")
_SEED = re.compile(r"^[+]*seed=")


class Arguments(NamedTuple):
    """What was asked for on the command line."""

    overrides: tuple[str, ...] = ()
    config_dir: str | None = None
    help: bool = False
    show_config: bool = False
    quiet: bool = False


def parse(argv: Sequence[str]) -> Arguments:
    """ConfigError, with a did-you-mean, for a flag that is not one."""
    words = list(argv)
    overrides: list[str] = []
    asked = Arguments()
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flag, given, value = word.partition("=")
        if flag in ("--config-dir", "--cfg"):
            value = value if given else words.pop(0) if words else ""
            asked = _with_value(asked, flag, value)
        elif flag in ("-h", "--help") and not given:
            asked = asked._replace(help=True)
        elif flag in ("-q", "--quiet") and not given:
            asked = asked._replace(quiet=True)
        else:
            raise _unknown(word)
    return asked._replace(overrides=tuple(overrides))


def help_head() -> str:
    """Usage, flags and examples."""
    lines = [
        f"usage: {USAGE}",
        "",
        "Runs one experiment, checks what its clients saw and keeps a folder with trace and result.",
        "Exit code: 0 valid, 1 invalid, 2 unknown or a mistake in what was asked.",
        "",
        "flags:",
        *(f"  {flag:<18} {meaning}" for flag, meaning in _FLAGS.items()),
        "",
        "examples:",
        "  python -m framework.run experiment=hello engine=sim",
        "  python -m framework.run experiment=raft_5nodes engine=sim faults=crash seed=7",
        "  python -m framework.run experiment=raft_5nodes nodes=3 duration=30s run.dir=runs/mine",
        "  python -m framework.run experiment=raft_5nodes --cfg job",
    ]
    return "\n".join(lines)


def replay_command(overrides: Iterable[str], config_dir: str | None, seed: int) -> str:
    """The command that takes a run again: its overrides and its seed, in a folder of its own."""
    kept = [word for word in overrides if not _RUN_DIR.match(word) and not _SEED.match(word)]
    elsewhere = [] if config_dir is None else ["--config-dir", config_dir]
    return shlex.join(["python", "-m", "framework.run", *kept, f"seed={seed}", *elsewhere])


def _with_value(asked: Arguments, flag: str, value: str) -> Arguments:
    if flag == "--config-dir":
        if not value:
            raise ConfigError(WHERE, "--config-dir needs a folder", "Write --config-dir DIR.")
        return asked._replace(config_dir=value)
    if value != "job":
        raise ConfigError(WHERE, f"--cfg {value}".rstrip() + " is not known", "Write --cfg job.")
    return asked._replace(show_config=True)


def _unknown(word: str) -> ConfigError:
    if word.partition("=")[0] in ("-m", "--multirun"):
        return ConfigError(WHERE, f"{word} (a sweep) is not supported", "Give each key one value, and run it as often.")
    return ConfigError(WHERE, f"unknown flag {word}", did_you_mean(word.partition("=")[0], _NAMES))
