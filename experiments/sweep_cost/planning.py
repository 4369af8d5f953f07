"""What planning costs: a million points, and the second launch of a sweep that is finished."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments.sweep_cost.yardsticks import sweep_s
from experiments.workers import started
from framework.core.errors import SynodError
from framework.runs.determinism import own_environment

POINTS = ("experiment=raft_chaos", "nodes=3,5", "seed=range(0,500000)")

FINISHED = ("experiment=hello", "engine=sim", "duration=1ms", "seed=range(0,10000)")


def plan_a_million() -> None:
    """Plans a million points as the driver does, and prints the seconds and the largest size of the process in MiB."""
    from framework.console.sweep_command import head_of
    from framework.sweep.identity import identity_of
    from framework.sweep.plan import plan_sweep
    from framework.sweep.resume import planned_run
    from framework.sweep.store import Store

    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="sweep-cost-") as folder:
        plan = plan_sweep([*POINTS, f"sweep.dir={folder}"])
        identity = identity_of(plan)
        with Store(plan.folder, head_of(plan, identity)) as store:
            course = planned_run(plan, identity, store)
            assert len(course.missing) == 1_000_000
            calls = sum(1 for _ in course.requests())
            assert calls == 1_000_000
    print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def million() -> tuple[float, float]:
    """(seconds, MiB) of planning and handing out a million points, in a process of its own."""
    command = [sys.executable, "-P", "-c", "from experiments.sweep_cost.planning import plan_a_million as p; p()"]
    with started(command, stdout=subprocess.PIPE, env=own_environment()) as planning:
        out, _ = planning.communicate()
    if planning.returncode:
        raise SynodError("planning a million points failed")
    seconds, size = map(float, out.split())
    return seconds, size


def second_launch_s() -> tuple[float, float]:
    """Seconds of a sweep of 10,000 short runs, and of the same command once more, when nothing is left to run."""
    with tempfile.TemporaryDirectory(prefix="sweep-cost-") as folder:
        return sweep_s(FINISHED, Path(folder) / "s"), sweep_s(FINISHED, Path(folder) / "s")
