"""The conformance kit: what every protocol must stand, whatever it does.

    from framework.testing.conformance import Check, checks

    @pytest.mark.parametrize("check", checks("echo"), ids=str)
    def test_conforms(check: Check, tmp_path: Path) -> None:
        check.run(tmp_path)

Each check raises AssertionError with what it saw. Those on Ray start it when nobody has.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from framework.checking.verdict import Verdict
from framework.config.compose import compose
from framework.config.resolve import Composed
from framework.core.errors import ConfigError
from framework.core.time import MILLISECOND, Duration, format_duration
from framework.registry.registry import load
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult

MAX_STEPS = 200
"""Crashes are tried after each of the first steps of the scenario, this many at the most."""

HOSTILE_SEEDS = 5
DOWN = 20 * MILLISECOND
"""How long a crashed node stays down."""

_CONFIG_DIR = "--config-dir="

_CRASHES = (
    "faults=crash",
    "faults.crash.at=200ms",
    "faults.crash.every=300ms",
    "faults.crash.for=100ms",
    "quiet=300ms",
)
_SCENARIO = ("nodes=3", "clients=2", "duration=1s", "workload.timeout=2s")


@dataclass(frozen=True)
class Check:
    """One check of one protocol: `run(folder)` needs an empty folder of its own."""

    protocol: str
    name: str
    run: Callable[[Path], None]
    ray: bool = False

    def __str__(self) -> str:
        return f"{self.protocol}-{self.name}"


def checks(
    protocol: str, *overrides: str, engines: Sequence[str] = ("sim", "ray"), config_dir: str | Path | None = None
) -> list[Check]:
    """All checks of a registered protocol.

    `overrides` are settings that it needs, as on the command line. `config_dir` is a folder of the author's own config
    groups, as --config-dir names one.
    """
    chosen = (
        *(() if config_dir is None else (f"{_CONFIG_DIR}{Path(config_dir).resolve()}",)),
        f"protocol={protocol}",
        *(overrides if _has_workload(overrides) else (*overrides, _workload(protocol))),
        *_SCENARIO,
    )
    found: list[Check] = []
    if "sim" in engines:
        found += [
            Check(protocol, "handlers_are_total", partial(handlers_are_total, chosen)),
            Check(protocol, "state_is_plain_data", partial(state_is_plain_data, chosen)),
            Check(protocol, "digest_ignores_the_hash_seed", partial(digest_ignores_the_hash_seed, chosen)),
            Check(protocol, "survives_a_crash_at_every_step", partial(survives_a_crash_at_every_step, chosen)),
        ]
    if "ray" in engines:
        found += [
            Check(protocol, f"runs_on_ray_by_{transport}", partial(runs_on_ray, chosen, transport), ray=True)
            for transport in ("mesh", "actor_calls")
        ]
    return found


def handlers_are_total(overrides: Sequence[str], folder: Path) -> None:
    """Messages late, lost, doubled and out of order, and nodes that crash: no handler raises and no client is lied to."""
    hostile = ("network=lossy", "network.loss=0.1", "network.duplicate=0.2", "network.reorder=0.3", *_CRASHES)
    for seed in range(HOSTILE_SEEDS):
        result = _simulate(_composed(overrides, *hostile, f"seed={seed}", "trace=history"), folder / str(seed))
        raised = [crash.traceback for crash in result.crashes if crash.traceback]
        assert not raised, f"seed {seed}: a handler raised\n{raised[0]}"
        assert result.verdict is not Verdict.INVALID, f"seed {seed}: {result.reasons}"


def state_is_plain_data(overrides: Sequence[str], folder: Path) -> None:
    """At the end of a run the state of every node can be copied, compared and printed."""
    from framework.core.plain_state import copy_plain
    from framework.engine.sim.simulation import Simulation

    run = Simulation(replace(_composed(overrides).experiment, run_dir=folder))
    run.run()
    run.recording.close()
    for name, hosted in run.nodes.items():
        assert hosted.runtime is not None, f"{name} is down: {[crash.why for crash in run.crashes]}"
        for path, node in hosted.runtime.nodes.items():
            state = node.state()
            where = f"{name}/{path}".rstrip("/")
            assert copy_plain(state, where) == state, f"the copy of {where}'s state differs from it"
            assert repr(state)


def digest_ignores_the_hash_seed(overrides: Sequence[str], folder: Path) -> None:
    """Two processes with different hash seeds make the same run, event by event."""
    digests = [_digest_in_a_process(overrides, folder / seed, seed) for seed in ("1", "2")]
    assert digests[0] == digests[1], (
        "the run depends on the order of a set, on hash() or on id(): iterate over sorted(...) or over a dict"
    )


def survives_a_crash_at_every_step(overrides: Sequence[str], folder: Path) -> None:
    """After each step of a scenario in turn, its node crashes (in the middle of its commit, if it has one) and restarts."""
    base = _composed(overrides, "engine.disk_latency=1ms", "workload.think_time=40ms")
    calm = replace(base.experiment, run_dir=folder / "calm")
    result = _run(base, calm)
    assert result.verdict is Verdict.VALID, f"without any crash: {result.reasons}"
    crash: Any = base.experiment.fault_kinds.specs["crash"]
    for number, (time, node) in enumerate(_steps(folder / "calm", base.experiment.nodes)):
        at = crash.config(at=Duration(time + 1), lasts=Duration(DOWN), target=node)
        there = folder / f"crash-{number}"
        result = _run(base, replace(base.experiment, run_dir=there, faults=(("crash", crash, at),), trace="history"))
        when = f"{node} crashes after its step at {format_duration(time)}"
        assert not [one for one in result.crashes if one.traceback], f"{when}: {result.reasons}"
        assert result.faults.get("crash") == 1, f"{when}: it did not happen"
        assert result.verdict is not Verdict.INVALID, f"{when}: {result.reasons}"


def runs_on_ray(overrides: Sequence[str], transport: str, folder: Path) -> None:
    """The same contract on real actors."""
    composed = _composed(overrides, "engine=ray", f"engine.transport={transport}", "duration=2s")
    result = _run(composed, replace(composed.experiment, run_dir=folder))
    assert result.verdict is Verdict.VALID, f"{result.reasons}"


def _workload(protocol: str) -> str:
    """The first workload that the protocol can serve."""
    registry = load()
    refusal: ConfigError | None = None
    for name in sorted(registry.registered.workloads, key=lambda name: (name != "kv", name)):
        try:
            compose([f"protocol={protocol}", f"workload={name}", "engine=sim"], registry=registry)
        except ConfigError as error:
            refusal = error
        else:
            return f"workload={name}"
    raise ConfigError(f"conformance of {protocol}", "no registered workload fits it", str(refusal or ""))


def _has_workload(overrides: Sequence[str]) -> bool:
    return any(override.startswith("workload=") for override in overrides)


def _composed(overrides: Sequence[str], *more: str) -> Composed:
    engine = () if any(override.startswith("engine=") for override in more) else ("engine=sim",)
    last = {override.partition("=")[0]: override for override in (*overrides, *engine, *more)}
    folder = next((word.removeprefix(_CONFIG_DIR) for word in last.values() if word.startswith(_CONFIG_DIR)), None)
    return compose([word for word in last.values() if not word.startswith(_CONFIG_DIR)], folder)


def _simulate(composed: Composed, folder: Path) -> RunResult:
    return _run(composed, replace(composed.experiment, run_dir=folder))


def _run(composed: Composed, experiment: Any) -> RunResult:
    experiment.run_dir.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        experiment=experiment, config=composed.config, engine=composed.engine, checkers=composed.checkers, models=composed.models
    )  # fmt: skip
    return execute(plan, engine_named(composed.engine), lambda time, tally: None)


def _digest_in_a_process(overrides: Sequence[str], folder: Path, hash_seed: str) -> str:
    import json

    command = [
        sys.executable,
        "-m",
        "framework.run",
        *overrides,
        "engine=sim",
        "seed=7",
        "--quiet",
        f"run.dir={folder}",
    ]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (folder / "result.json").exists(), f"{' '.join(command)}: {ended.stderr}"
    return str(json.loads((folder / "result.json").read_text())["digest"])


def _steps(folder: Path, nodes: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Time and node of the first steps of a run, at each instant of each node one."""
    from framework.trace.reader import open_run

    events = open_run(folder).events
    taken = {
        (time, node)
        for time, node, kind in zip(*(events[column].to_pylist() for column in ("time", "node", "kind")), strict=True)
        if kind in ("start", "deliver", "timer") and node.partition("/")[0] in nodes
    }
    for time, node in sorted(taken)[:MAX_STEPS]:
        yield time, node.partition("/")[0]
