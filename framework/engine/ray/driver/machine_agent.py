"""Local actions on a machine: signals to node processes, readings of its clock, its files."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from framework.engine.ray.disk.commit_in_flight import CommitInFlightError, read_flight
from framework.engine.ray.disk.crash_damage import damage, leave
from framework.faults.commit_fate import CommitFate

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "continue": signal.SIGCONT}

FSYNCS = 5
GONE_S = 3.0
"""Limit for a killed process to disappear."""


class MachineAgent:
    """Acts on one machine: in the driver's process on the driver's machine, as a Ray actor on every other."""

    def signal(self, pid: int, name: str) -> bool:
        """Sends kill, stop or continue to a process; False if it is gone."""
        try:
            os.kill(pid, SIGNALS[name])
        except ProcessLookupError:
            return False
        return True

    def kill(self, pids: list[int]) -> None:
        """Sends SIGKILL, which ends stopped processes too. Returns when they are gone, or after `GONE_S`."""
        deadline = time.monotonic() + GONE_S
        left = [pid for pid in pids if self.signal(pid, "kill")]
        while left and time.monotonic() < deadline:
            time.sleep(0.005)
            left = [pid for pid in left if _exists(pid)]

    def end(self, pid: int, database: Path) -> tuple[int, int]:
        """Kills one process (SIGKILL). Returns the last commit that it had begun and the last that it had acknowledged.

        Returns (0, 0) if it had no database yet, or if the numbers cannot be read; in that case its restart is refused.
        """
        self.kill([pid])
        try:
            return read_flight(database) if database.exists() else (0, 0)
        except CommitInFlightError:
            return 0, 0

    def leave(self, database: Path, number: int, fate: CommitFate) -> CommitFate:
        """Applies `fate` to a commit that was in flight when its process was killed; returns its actual fate."""
        return leave(database, number, fate)

    def damage(self, database: Path, acknowledged: int) -> str:
        """Damages one of the first commits of a database. Returns the error that opening it then raises; "" if there is
        nothing to damage."""
        return damage(database, acknowledged)

    def clock(self) -> int:
        """Returns this machine's monotonic clock, in nanoseconds."""
        return time.monotonic_ns()

    def fsync(self, folder: Path) -> int:
        """Returns the time that this machine's disk takes to make a small append durable: the median of a few, in
        nanoseconds."""
        folder.mkdir(parents=True, exist_ok=True)
        times = []
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            for _ in range(FSYNCS):
                file.write(b"synod" * 100)
                began = time.monotonic_ns()
                os.fsync(file.fileno())
                times.append(time.monotonic_ns() - began)
        return sorted(times)[FSYNCS // 2]

    def files(self, folder: Path) -> list[tuple[str, bytes]]:
        """Returns the name and content of each file in a folder; an empty list if there is no such folder."""
        if not folder.is_dir():
            return []
        return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir()) if path.is_file()]

    def remove(self, folder: Path) -> None:
        """Removes a folder and its contents; does nothing if there is no such folder."""
        if folder.exists():
            shutil.rmtree(folder)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
