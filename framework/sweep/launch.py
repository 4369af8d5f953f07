"""Starts a sweep on its backend: processes of this machine, pooled Ray actors, or runs of the Ray engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from framework.core.time import SECOND
from framework.sweep.limits import Limits
from framework.sweep.plan import SweepPlan
from framework.sweep.point import run_point
from framework.sweep.pool import Pool
from framework.sweep.sweep_run import Runner


@contextmanager
def runner_of(plan: SweepPlan) -> Iterator[Runner]:
    """Opens the runner of a sweep, and closes it on exit. Raises ConfigError if the cluster cannot be joined."""
    settings = plan.settings
    limits = Limits(
        int(settings.timeout) / SECOND or None, int(settings.memory) if settings.memory is not None else None
    )
    if not on_ray(plan):
        with Pool(run_point, settings.workers or processors(), limits=limits) as pool:
            yield pool
        return
    from framework.engine.ray.driver.engine import code_modules
    from framework.engine.ray.runtime import runtime

    actors = len(plan.composed.experiment.nodes) + 2 if plan.engine == "ray" else settings.workers or processors()
    with runtime(plan.address, actors, code_modules(plan.composed.experiment)):
        if plan.engine == "ray":
            from framework.sweep.ray_runs import Coordinators

            yield Coordinators(run_point, concurrent_runs(plan), int(settings.timeout) / SECOND)
        else:
            with Pool(run_point, settings.workers or 0, limits=limits, on_ray=True) as pool:
                yield pool


def on_ray(plan: SweepPlan) -> bool:
    """Returns whether the sweep needs a Ray runtime."""
    backend = plan.settings.backend
    return plan.engine == "ray" or backend == "ray" or (backend == "auto" and plan.address is not None)


def concurrent_runs(plan: SweepPlan) -> int:
    """Returns the maximum number of concurrent runs of the Ray engine.

    Runs that share processors would distort each other's measurements.
    """
    import ray

    if plan.settings.concurrent is not None:
        return int(plan.settings.concurrent)
    if len(ray.nodes()) == 1:  # type: ignore[no-untyped-call]
        return 1
    each = plan.settings.cpus_per_run or len(plan.composed.experiment.nodes) + 1
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(1, int(there.get("CPU", 1.0) // each))


def processors() -> int:
    """Returns the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
