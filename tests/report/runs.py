"""Runs that the tests of reports share: each is taken once in a session of tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RAFT = ("experiment=raft_chaos", "engine=sim", "seed=3")
BROKEN = ("experiment=three_phase_commit_partition", "engine=sim", "seed=1")
BLOCKED = ("experiment=two_phase_commit_chaos", "engine=sim", "seed=1")
PAUSED = ("experiment=redlock_pause", "engine=sim", "seed=1")


def take(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs `framework.run` in a process of its own; `code` is the exit code that it must have."""
    command = [sys.executable, "-m", "framework.run", *words, f"run.dir={folder}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended
