"""A sweep on a cluster that loses one of three machines and is given another: `python -m tests.sweep.clustered_sweep FOLDER`.

If it has not ended after BOUND_S, it writes where its threads are and ends with code 1.
"""

from __future__ import annotations

import faulthandler
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from framework.engine.ray.runtime import quiet
from framework.run.__main__ import main as run
from framework.sweep.rows import SweepRow
from framework.sweep.store import Store

WORDS = (
    "experiment=raft_3nodes",
    "engine=sim",
    "duration=500ms",
    "clients=3",
    "seed=range(0,60)",
    "sweep.backend=ray",
)
ROWS = 15
BOUND_S = 120
"""It takes about 20 s on two processors that are free."""

LOST = "lost a machine whose worker was at a run"


def main(folder: Path) -> int:
    faulthandler.dump_traceback_later(BOUND_S, exit=True)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    machines: list[Any] = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)
    own = ray.get_runtime_context().get_node_id()  # the driver is lost with its machine
    doomed = [machine for machine in machines if machine.node_id != own][:1]
    add, rows = Store.add, 0

    def add_and_lose(store: Store, row: SweepRow) -> bool:
        """After some rows a machine is lost, whose worker is in the middle of a run, and another joins."""
        nonlocal rows
        rows += 1
        if rows >= ROWS and doomed and has_worker(doomed[0]):
            cluster.remove_node(doomed.pop(), allow_graceful=False)
            cluster.add_node(num_cpus=1)
            print(LOST, flush=True)
        return add(store, row)

    Store.add = add_and_lose  # type: ignore[method-assign]
    code = run(["-m", *WORDS, f"sweep.dir={folder}"])
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]
    return code


def has_worker(machine: Any) -> bool:
    """Whether one of the machine's processes is a worker of the sweep: while points are left, it has some at any time."""
    import psutil  # Ray brings its own

    raylet = psutil.Process(machine.all_processes["raylet"][0].process.pid)
    for process in raylet.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "framework.sweep.worker" in " ".join(process.cmdline()):
                return True
    return False


if __name__ == "__main__":
    with quiet():
        sys.exit(main(Path(sys.argv[1])))
