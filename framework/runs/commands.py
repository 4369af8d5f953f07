"""Commands that a user types to repeat a run."""

from __future__ import annotations

import re
from collections.abc import Iterable

from framework.core.command_line import command_line

_RUN_DIR = re.compile(r"^[+~]*run\.dir(=|$)")
_SEED = re.compile(r"^[+]*seed=")


def replay_command(overrides: Iterable[str], config_dir: str | None, seed: int) -> str:
    """Returns the command that repeats a run: its overrides and its seed, in a folder of its own."""
    kept = [word for word in overrides if not _RUN_DIR.match(word) and not _SEED.match(word)]
    elsewhere = [] if config_dir is None else ["--config-dir", config_dir]
    return command_line("framework.run", *kept, f"seed={seed}", *elsewhere)
