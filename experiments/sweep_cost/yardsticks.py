"""The same runs by other means: in a plain loop, one process a run, and as trials of Ray Tune."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.workers import started
from framework.core.errors import SynodError
from framework.runs.determinism import own_environment
from framework.sweep.point import Finished, RunRequest, run_point

_LOOP = """
import json, sys, time
from experiments.sweep_cost.yardsticks import take
overrides, seeds = json.loads(sys.argv[1])
take(overrides, 0)
began = time.perf_counter()
for seed in range(seeds):
    take(overrides, seed)
print(time.perf_counter() - began)
"""


def take(overrides: Sequence[str], seed: int) -> None:
    """One run in this process. SynodError unless it comes to a verdict."""
    words = ("trace=history", *overrides)
    finished = run_point(RunRequest(number=seed, overrides=words, config_dir=None, seed=seed, command=""))
    if not isinstance(finished, Finished) or finished.outcome.status != "ok":
        raise SynodError(f"seed {seed} of {' '.join(overrides)}: {finished}")


def loop_s(overrides: Sequence[str], seeds: int) -> float:
    """Seconds that the seeds take in a plain loop, in a process of its own that has taken one before."""
    import json

    command = [sys.executable, "-P", "-c", _LOOP, json.dumps([list(overrides), seeds])]
    with started(command, stdout=subprocess.PIPE, env=own_environment()) as loop:
        out, _ = loop.communicate()
    if loop.returncode:
        raise SynodError("the plain loop failed")
    return float(out)


def sweep_s(words: Sequence[str], folder: Path) -> float:
    """Seconds that a sweep takes as a command, start-up included. SynodError unless all runs are valid."""
    command = [sys.executable, "-m", "framework.run", "-m", *words, f"sweep.dir={folder}", "--quiet"]
    began = time.perf_counter()
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sweep:
        out, complaint = sweep.communicate()
    if sweep.returncode:
        raise SynodError(f"{' '.join(command)} ended with {sweep.returncode}: {out}{complaint}")
    return time.perf_counter() - began


def processes_s(overrides: Sequence[str], seeds: int, at_once: int) -> float:
    """Seconds that as many single commands take, so many at once."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="sweep-cost-") as folder:
        waiting = list(range(seeds))
        running: list[subprocess.Popen[bytes]] = []
        while waiting or running:
            while waiting and len(running) < at_once:
                seed = waiting.pop(0)
                words = [*overrides, "trace=history", f"seed={seed}", f"run.dir={folder}/{seed}", "--quiet"]
                running.append(
                    subprocess.Popen([sys.executable, "-m", "framework.run", *words], stdout=subprocess.DEVNULL)
                )
            if running.pop(0).wait():
                raise SynodError("a single run was not valid")
    return time.perf_counter() - began


def tune_s(overrides: Sequence[str], seeds: int, at_once: int) -> float:
    """Seconds that Ray Tune takes for a trial a seed, its own start-up included. Its actors take several trials
    each."""
    os.environ.update(RAY_AIR_NEW_OUTPUT="0", TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", RAY_ENABLE_UV_RUN_RUNTIME_ENV="0")
    began = time.perf_counter()
    import ray
    from ray import tune

    def trial(config: dict[str, Any]) -> dict[str, float]:
        take(overrides, config["seed"])
        return {"done_at": time.time()}

    path = own_environment()["PYTHONPATH"]
    with tempfile.TemporaryDirectory(prefix="sweep-cost-") as folder:
        ray.init(
            num_cpus=at_once, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL,
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )  # fmt: skip
        try:
            results = tune.Tuner(
                trial,
                param_space={"seed": tune.grid_search(list(range(seeds)))},
                tune_config=tune.TuneConfig(reuse_actors=True),
                run_config=tune.RunConfig(storage_path=folder, verbose=0),
            ).fit()
            if results.num_errors or len(results) != seeds:
                raise SynodError("a trial of Ray Tune failed")
        finally:
            ray.shutdown()
    return time.perf_counter() - began
