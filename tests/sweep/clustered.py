"""A program whose pool loses one of three machines and is given another: `python -m tests.sweep.clustered`."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator

import ray
from ray.cluster_utils import Cluster

from framework.engine.ray.runtime import quiet
from framework.sweep.pool import Ended, Pool, Task
from tests.sweep.calls import host_after_a_moment

MOST = 100_000
"""Calls after which the new machine should have been seen at work."""


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    doomed = cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    ray.init(cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)
    hosts: set[int] = set()
    ended: list[Ended] = []

    def tasks() -> Iterator[Task]:
        """Until four machines have been at work."""
        return (Task(()) for _ in itertools.takewhile(lambda number: len(hosts) < 4, range(MOST)))

    with Pool(host_after_a_moment, 0, on_ray=True) as pool:
        for one in pool.run(tasks()):
            ended.append(one)
            before = len(hosts)
            hosts.add(one.result)
            if len(hosts) == 3 > before:
                cluster.remove_node(doomed, allow_graceful=False)
                cluster.add_node(num_cpus=1)
    numbers = [one.number for one in ended]
    failed = [one.failure.reason for one in ended if one.failure is not None]
    print(json.dumps({"once": sorted(numbers) == list(range(len(numbers))), "failed": failed, "hosts": len(hosts)}))
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    with quiet():
        main()
