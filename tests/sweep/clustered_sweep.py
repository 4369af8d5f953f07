"""A sweep on a cluster that loses one of three machines and is given another: `python -m tests.sweep.clustered_sweep FOLDER`."""

from __future__ import annotations

import logging
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from framework.engine.ray.runtime import quiet
from framework.run import main as run

ROWS = 20


def lose_and_join(cluster: Cluster, doomed: object, journal: Path) -> None:
    """Once there are some rows, kills a machine, whose workers are at work, and adds another."""
    while not journal.exists() or journal.read_bytes().count(b"\n") < ROWS:
        time.sleep(0.02)
    cluster.remove_node(doomed, allow_graceful=False)
    cluster.add_node(num_cpus=1)


def main(folder: Path) -> int:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    doomed = cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    ray.init(cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)
    watcher = threading.Thread(target=lose_and_join, args=(cluster, doomed, folder / "journal.jsonl"), daemon=True)
    watcher.start()
    words = [
        "experiment=raft_3nodes",
        "engine=sim",
        "duration=1s",
        "clients=3",
        "seed=range(0,300)",
        f"sweep.dir={folder}",
    ]
    code = run(["-m", *words, "sweep.backend=ray"])
    watcher.join(timeout=30)
    print(f"machines in all: {len(ray.nodes())}")  # type: ignore[no-untyped-call]
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]
    return code


if __name__ == "__main__":
    with quiet():
        sys.exit(main(Path(sys.argv[1])))
