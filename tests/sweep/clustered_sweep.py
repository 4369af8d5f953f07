"""A sweep on a cluster that loses one of three machines and is given another: `python -m tests.sweep.clustered_sweep FOLDER`."""

from __future__ import annotations

import logging
import sys
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


def main(folder: Path) -> int:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    machines: list[Any] = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)
    own = ray.get_runtime_context().get_node_id()  # the driver is lost with its machine
    doomed = next(machine for machine in machines if machine.node_id != own)
    add, rows = Store.add, 0

    def add_and_lose(store: Store, row: SweepRow) -> bool:
        """After some rows a machine is lost, whose worker is in the middle of a run, and another joins."""
        nonlocal rows
        rows += 1
        if rows == ROWS:
            cluster.remove_node(doomed, allow_graceful=False)
            cluster.add_node(num_cpus=1)
        return add(store, row)

    Store.add = add_and_lose  # type: ignore[method-assign]
    code = run(["-m", *WORDS, f"sweep.dir={folder}"])
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]
    return code


if __name__ == "__main__":
    with quiet():
        sys.exit(main(Path(sys.argv[1])))
