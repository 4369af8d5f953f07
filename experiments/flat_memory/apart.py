"""Runs a command and prints its peak resident memory: `python -m experiments.flat_memory.apart COMMAND…`.

A small process of its own, because a child's peak begins with that of the process that started it.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.flat_memory.apart")

import os
import signal
import subprocess
import sys
from collections.abc import Sequence


def main(command: Sequence[str]) -> int:
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    signal.signal(signal.SIGINT, lambda *_: run.send_signal(signal.SIGINT))
    _, status, usage = os.wait4(run.pid, 0)
    print(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))  # bytes there, kilobytes elsewhere
    return os.waitstatus_to_exitcode(status)
