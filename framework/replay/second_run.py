"""`python -m framework.replay.second_run RUN INTO`: the second run of `engine.verify_determinism`, in a process of its
own.

Replays the simulated run in the folder RUN, writes its files into INTO and prints its digest.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports, so that their exceptions are reported too
    from framework.console.entry import run_as_command

    run_as_command("framework.replay.second_run")

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from framework.console.entry import carried_out
from framework.replay.sim_replay import saved_experiment
from framework.trace.reader import open_run


def main(argv: Sequence[str]) -> int:
    """Returns 0, or 2 with one line on stderr."""
    return carried_out(lambda: _drive_again(*argv))


def _drive_again(run: str, into: str) -> int:
    from framework.engine.sim.engine import SimEngine

    experiment = saved_experiment(open_run(run))
    ended = SimEngine().run(dataclasses.replace(experiment, run_dir=Path(into)), lambda now, tally: None)
    print(ended.digest)
    return 0
