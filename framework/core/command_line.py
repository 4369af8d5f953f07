"""Commands as the person at the terminal types them: `synod run`, or `python -m framework.run` for those who called it so.

All that is printed for people to type, and every error that names a command, takes its words from here.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import PurePath

SYNOD = "synod"
"""The console command that is installed beside the modules."""

_PACKAGE = "framework."


def command_line(module: str, *words: str) -> str:
    """The line that runs the command `module` (`framework.run`) with `words`, which are quoted for the shell."""
    return shlex.join([*_typed(module), *words])


def command_name(module: str) -> str:
    """What an error calls the command `module`: `synod run`, or `framework.run`."""
    return " ".join(_typed(module)) if _is_ours(module) and _called_as_synod() else module


def _typed(module: str) -> list[str]:
    if _is_ours(module) and _called_as_synod():
        return [SYNOD, module.removeprefix(_PACKAGE)]
    return ["python", "-m", module]


def _is_ours(module: str) -> bool:
    """Whether `synod` has the command: studies are modules only."""
    return module.startswith(_PACKAGE)


def _called_as_synod() -> bool:
    """Whether this process is the installed script, which is called `synod`, on Windows `synod.exe` or `synod-script.py`."""
    return PurePath(sys.argv[0] if sys.argv else "").stem.removesuffix("-script") == SYNOD
