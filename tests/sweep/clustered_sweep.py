"""A sweep on a cluster that loses one of three machines and is given another: `python -m tests.sweep.clustered_sweep FOLDER`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from ray.cluster_utils import Cluster

from framework.engine.ray.runtime import quiet

WORDS = ("experiment=raft_3nodes", "engine=sim", "duration=500ms", "clients=3", "seed=range(0,100)")
ROWS = 20


def main(folder: Path) -> int:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    doomed = cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    command = [
        sys.executable,
        "-m",
        "framework.run",
        "-m",
        *WORDS,
        f"sweep.dir={folder}",
        f"sweep.address={cluster.address}",
    ]
    with subprocess.Popen(command) as sweep:
        journal = folder / "journal.jsonl"
        while sweep.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < ROWS):
            time.sleep(0.02)
        cluster.remove_node(doomed, allow_graceful=False)  # its worker is in the middle of a run
        cluster.add_node(num_cpus=1)
        code = sweep.wait()
    cluster.shutdown()  # type: ignore[no-untyped-call]
    return code


if __name__ == "__main__":
    with quiet():
        sys.exit(main(Path(sys.argv[1])))
