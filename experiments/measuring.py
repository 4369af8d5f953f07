"""One run of an experiment in a process of its own, for studies of real time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.workers import started
from framework.core.errors import SynodError


def measure(overrides: Sequence[str], folder: Path, tree: Path | None = None) -> dict[str, Any]:
    """The result of a run with these overrides; its files stand in `folder`. SynodError if it left none.

    `tree` is the root of the project whose code runs; None: this one.
    """
    command = [sys.executable, "-m", "framework.run", *overrides, f"run.dir={folder}", "--quiet"]
    place: dict[str, Any] = {}
    if tree is not None:
        place = {"cwd": tree, "env": {**os.environ, "PYTHONPATH": str(tree)}}
    with started(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **place) as run:
        _, complaint = run.communicate()
    if not (folder / "result.json").exists():
        raise SynodError(f"{' '.join(command)} ended with {run.returncode}: {complaint.strip()}")
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result
