"""A program that runs on a cluster of two raylets, its nodes spread over both.

    python -m tests.engine.ray.clustered FOLDER STRATEGY NODES
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ray.cluster_utils import Cluster

from framework.config.schema import SchedulingConfig
from framework.core.errors import ConfigError
from framework.core.time import Duration
from framework.engine.ray.driver import RayEngine
from tests.engine.ray.register import register_run


def main() -> None:
    folder, strategy, nodes = sys.argv[1:]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    cluster.add_node(num_cpus=4)
    try:
        run = register_run(
            Path(folder), nodes=int(nodes), engine={"address": cluster.address},
            scheduling_config=SchedulingConfig(strategy=strategy, timeout=Duration("3s")),  # type: ignore[arg-type]
            script=((300_000_000, "crash", "n2"), (500_000_000, "restart", "n2")), duration=3_000_000_000,
        )  # fmt: skip
        result = RayEngine().run(run, lambda now, tally: None)
        print(json.dumps({"failure": result.failure, "ok": result.tally.ok, "details": result.details}))
    except ConfigError as error:
        print(json.dumps({"error": str(error)}))
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
