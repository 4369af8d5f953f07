"""Ctrl-C ends a study within moments: one line, exit code 2, no process and no folder left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.registry.discovery import ROOT

SOON_S = 20
"""A bound and no measurement: each study has more to do than it will ever have time for."""


@pytest.mark.parametrize(
    ("name", "words", "at_work"),
    [
        (
            "planted_bugs",
            ("--only", "raft_votes_twice", "--seeds", "100000", "--processes", "1"),
            "synod-pool-*/*/planted-bugs-*",
        ),
        ("checker_soak", ("--cases", "100000000", "--processes", "1"), "synod-pool-*"),
        ("engine_cost", ("--only", "simulator"), "engine-cost-*/*/config.yaml"),
    ],
)
def test_a_study_that_is_interrupted_ends_with_one_line(
    name: str, words: tuple[str, ...], at_work: str, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [word.replace("KEPT", str(tmp_path / "kept")) for word in (f"experiments.{name}", *words)]
    with subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as study:  # fmt: skip
        wait_until(lambda: any(scratch.glob(at_work)), f"{name} is at work", SOON_S)
        os.killpg(study.pid, signal.SIGINT)  # as a terminal does
        _, complaint = study.communicate(timeout=SOON_S)

    assert study.returncode == 2, complaint
    assert complaint.splitlines()[-1].startswith("interrupted") and complaint.count("\n") <= 2
    assert "Traceback" not in complaint
    wait_until(lambda: not at_large(study.pid), f"the processes of {name} are gone", SOON_S)
    assert list(scratch.iterdir()) == []


def wait_until(holds: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never so: {what}"
        os.sched_yield()


def at_large(group: int) -> bool:
    """Whether a process of the group is left, besides those that ended and that nobody has asked after."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    found = [line.split() for line in listed.splitlines()]
    return any(int(pgid) == group and not stat.startswith("Z") for pgid, stat in found)
