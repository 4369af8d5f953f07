"""Commands as the user of this process types them: `synod run`, or `python -m framework.run`.

Every command that is printed for the user to type, and every command named in an error, is spelled here.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import PurePath

SYNOD = "synod"
"""The console command that is installed beside the modules."""

_PACKAGE = "framework."


def command_line(module: str, *words: str) -> str:
    """Returns the line that runs the command `module` (`framework.run`) with `words`, quoted for the shell."""
    return shlex.join([*_typed(module), *words])


def command_name(module: str) -> str:
    """Returns the name of the command `module` in errors: `synod run`, or `framework.run`."""
    return " ".join(_typed(module)) if _is_ours(module) and _called_as_synod() else module


def _typed(module: str) -> list[str]:
    if _is_ours(module) and _called_as_synod():
        return [SYNOD, module.removeprefix(_PACKAGE)]
    return ["python", "-m", module]


def _is_ours(module: str) -> bool:
    """Returns whether `synod` has the command. Studies are modules only."""
    return module.startswith(_PACKAGE)


def _called_as_synod() -> bool:
    """Returns whether this process is the installed script: `synod`, or on Windows `synod.exe` or `synod-script.py`."""
    return PurePath(sys.argv[0] if sys.argv else "").stem.removesuffix("-script") == SYNOD
