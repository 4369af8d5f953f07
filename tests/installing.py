"""pip and the commands, in processes of their own, as a person uses them outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from framework.registry.discovery import ROOT

PIP_S, RUN_S = 60, 60


SYNOD = """#!{python}
import sys
from framework.console.synod import main
if __name__ == "__main__":
    sys.exit(main())
"""
"""The script that pip makes of the entry point: Python puts the script's folder onto its path, and not the current one."""


def lay_synod(folder: Path) -> Path:
    """The command `synod` in `folder`, as pip installs it."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "synod"
    script.write_text(SYNOD.format(python=sys.executable))
    script.chmod(0o755)
    return script


def pip(*words: str | Path, cwd: Path) -> None:
    """Runs pip offline, with the builder that this Python has. AssertionError with what it said if it fails."""
    command = [sys.executable, "-m", "pip", *map(str, words), "--no-index", "--no-deps", "--quiet"]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PIP_S, check=False)
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}{ended.stderr}"


def install(package: Path, folder: Path) -> None:
    """Installs the package (a wheel, or a folder with a pyproject.toml) into `folder`, apart from this Python's own."""
    pip("install", "--no-build-isolation", "--target", folder, package, cwd=folder.parent)


def run(*words: str, cwd: Path, path: Sequence[Path] = (ROOT,)) -> subprocess.CompletedProcess[str]:
    """What `python -m framework.run WORDS` does in `cwd`, with nothing but `path` to import from besides the venv."""
    return python("-m", "framework.run", *words, cwd=cwd, path=path)


def python(*words: str, cwd: Path, path: Sequence[Path] = (ROOT,)) -> subprocess.CompletedProcess[str]:
    """What `python WORDS` does in `cwd`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=RUN_S, check=False
    )
