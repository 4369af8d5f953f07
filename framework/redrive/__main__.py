"""`python -m framework.redrive RUN INTO`: the second run of `engine.verify_determinism`, in a process of its own.

Drives the simulated run in the folder RUN again, writes its files into INTO and prints its digest.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from framework.core.errors import SynodError
from framework.redrive.whole import saved_experiment
from framework.trace.reader import open_run


def main(run: str, into: str) -> int:
    """0, or 2 with one line on stderr."""
    from framework.engine.sim import SimEngine

    try:
        experiment = saved_experiment(open_run(run))
        ended = SimEngine().run(dataclasses.replace(experiment, run_dir=Path(into)), lambda now, tally: None)
    except SynodError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    print(ended.digest)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
