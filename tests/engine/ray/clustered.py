"""A program that runs twice on a cluster of two raylets: once as three machines would be needed, once as two suffice.

python -m tests.engine.ray.clustered FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ray.cluster_utils import Cluster

from framework.config.schema import SchedulingConfig
from framework.core.errors import ConfigError
from framework.core.time import MILLISECOND, SECOND, Duration
from framework.engine.ray.driver.engine import RayEngine
from tests.engine.ray.register import crash, register_run


def attempt(folder: Path, address: str, strategy: str) -> dict[str, object]:
    """How a run on three nodes went, with n2 crashing and coming back; or why it cannot be."""
    run = register_run(
        folder, engine={"address": address},
        scheduling_config=SchedulingConfig(strategy=strategy, timeout=Duration("2s")),  # type: ignore[arg-type]
        script=(crash(500 * MILLISECOND, "n2", lasts=400 * MILLISECOND),), duration=5 * SECOND,
    )  # fmt: skip
    try:
        result = RayEngine().run(run, lambda now, tally: None)
    except ConfigError as error:
        return {"error": str(error)}
    return {"failure": result.failure, "ok": result.tally.ok, "details": result.details}


def main() -> None:
    folder = Path(sys.argv[1])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
    cluster.add_node(num_cpus=4)
    try:
        for strategy in ("strict_spread", "spread"):
            print(json.dumps(attempt(folder / strategy, cluster.address, strategy)), flush=True)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
