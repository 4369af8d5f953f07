"""`python -m experiments.flat_memory [SHORT LONG]`: the peak memory of two runs that differ in their duration alone.

Each run is a process of its own, its checker and its full trace included. Exit code 2 if the long one needs more than
a quarter more, 2 if a run is not valid.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.flat_memory.__main__")

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.workers import started
from framework.console.entry import carried_out
from framework.core.errors import ConfigError

EXPERIMENT = ("experiment=hello", "engine=sim", "workload.loop=open", "workload.rate=200", "--quiet")
DURATIONS = ("1m", "30m")
ALLOWED = 1.25
"""How many times the short run's memory the long one may need."""


class Peak(NamedTuple):
    """What one run took."""

    duration: str
    megabytes: float
    seconds: float


def main(arguments: Sequence[str]) -> int:
    """Prints a row a run, and the ratio of their memory."""
    return carried_out(lambda: _compare(_durations(arguments)))


def _durations(arguments: Sequence[str]) -> Sequence[str]:
    if len(arguments) not in (0, 2):
        raise ConfigError("experiments.flat_memory", "takes two durations, or none", "Write SHORT LONG, as in 1m 30m.")
    return arguments or DURATIONS


def _compare(durations: Sequence[str]) -> int:
    print(f"{'duration':>10} {'peak memory':>12} {'real time':>10}")
    peaks: list[Peak] = []
    with tempfile.TemporaryDirectory() as folder:
        for duration in durations:
            peak = measured(duration, Path(folder) / duration)
            if peak is None:
                return 2
            print(f"{peak.duration:>10} {peak.megabytes:>9.0f} MB {peak.seconds:>8.1f} s")
            peaks.append(peak)
    ratio = peaks[-1].megabytes / peaks[0].megabytes
    flat = ratio <= ALLOWED
    print(f"ratio {ratio:.2f}: {'flat' if flat else f'grows (allowed: {ALLOWED:.2f})'}")
    return 0 if flat else 2


def measured(duration: str, folder: Path) -> Peak | None:
    """The run's peak resident memory; None, with a line on stderr, if it was not valid."""
    command = [sys.executable, "-m", "framework.run", *EXPERIMENT, f"duration={duration}", f"run.dir={folder}"]
    apart = [sys.executable, "-m", "experiments.flat_memory.apart", *command]
    began = time.monotonic()
    with started(apart, stdout=subprocess.PIPE) as run:
        told, _ = run.communicate()
    if run.returncode:
        print(f"{shlex.join(command[1:])} ended with {run.returncode}", file=sys.stderr)
        return None
    return Peak(duration, int(told) / 1e6, time.monotonic() - began)
