"""The project at an earlier commit, beside the one at hand."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from framework.core.errors import ConfigError
from framework.registry.discovery import ROOT


@contextmanager
def tree_of(revision: str, folder: Path) -> Iterator[Path]:
    """The tree of a git revision, checked out below `folder` for as long as the context lasts. ConfigError if there is
    none."""
    place = folder / "before"
    _git(revision, "worktree", "add", "--detach", str(place), revision)
    try:
        yield place
    finally:
        _git(revision, "worktree", "remove", "--force", str(place))


def _git(revision: str, *words: str) -> None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ConfigError(f"--against {revision}", "needs git, which is not there") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["git failed"])[-1].removeprefix("fatal: ")
        raise ConfigError(f"--against {revision}", last, "Give a commit of this repository.")
