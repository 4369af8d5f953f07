"""Runs without a real engine: an experiment, engines that act one scene each, and checkers that say what they must."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pluggy

from framework.checking.verdict import CheckResult, Verdict
from framework.core.client import Client, Ok, Operation
from framework.core.node import Node
from framework.core.time import SECOND, Duration
from framework.engine.base import EngineResult, Experiment, NodeCrash, Progress
from framework.engine.base import NodeCrash as Crash
from framework.engine.tally import Tally
from framework.faults.fault import Fault, FaultConfig, Injection
from framework.faults.targets import ClusterView
from framework.load.workload import Workload, WorkloadConfig
from framework.network.model import Link, NetworkModel
from framework.registry import hookspecs
from framework.registry.specs import CheckerSpec, FaultSpec, NetworkSpec, ProtocolSpec, WorkloadSpec
from framework.runs.execute import Plan
from framework.runs.folder import claim, write_config


class Server(Node):
    """Does nothing."""


class Caller(Client):
    def invoke(self, operation: Operation) -> None:
        self.complete(operation.id, Ok(None))


class Pings(Workload):
    def functions(self) -> tuple[str, ...]:
        return ("ping",)

    def next(self, client: str, now: int, rng: random.Random) -> tuple[str, str | None, Any]:
        return "ping", None, None


class NoNetwork(NetworkModel):
    def link(self, source: str, target: str, rng: random.Random) -> Link:
        raise AssertionError("a fake engine sends nothing")


class CrashOne(Fault):
    """Crashes n2."""

    def inject(self, view: ClusterView) -> Injection | None:
        return Injection((Crash("n2"),), targets=("n2",))


CRASH = FaultSpec(name="crash", summary="", fault=CrashOne)


def crash(at: str = "1s") -> tuple[tuple[str, FaultSpec, FaultConfig], ...]:
    """The faults of an experiment: one crash."""
    return (("crash", CRASH, FaultConfig(at=Duration(at))),)


def experiment(run_dir: Path, **changes: Any) -> Experiment:
    """Three nodes, two clients, two seconds."""
    settings: dict[str, Any] = {
        "name": "pings", "seed": 7, "nodes": ("n1", "n2", "n3"), "clients": ("c1", "c2"),
        "duration": 2 * SECOND, "warmup": 0, "faults": (), "trace": "history", "run_dir": run_dir,
        "protocol": ProtocolSpec(name="pings", summary="", node=Server, client=Caller), "protocol_config": None,
        "workload": WorkloadSpec(name="pings", summary="", workload=Pings), "workload_config": WorkloadConfig(),
        "network": NetworkSpec(name="none", summary="", model=NoNetwork), "network_config": None,
        "engine_config": None, "scheduling_config": None,
    }  # fmt: skip
    return Experiment(**{**settings, **changes})


def plan(run_dir: Path, *checkers: CheckerSpec, hook: Any = None, **changes: Any) -> Plan:
    """A plan whose folder is claimed."""
    config = {"nodes": 3, "seed": 7, "run": {"dir": str(run_dir)}}
    write_config(claim(run_dir), config)
    return Plan(
        experiment=experiment(run_dir, **changes),
        config=config,
        engine="fake",
        checkers=[(checker, None) for checker in checkers],
        hook=hook,
        command="python -m framework.run experiment=pings seed=7",
    )


def listening(*plugins: Any) -> Any:
    """The hooks of these plugins, each named after its class."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for plugin in plugins:
        manager.register(plugin, type(plugin).__name__)
    return manager.hook


def checker(verdict: Verdict, reason: str = "", story: tuple[str, ...] = (), name: str = "check") -> CheckerSpec:
    """A checker that has made up its mind."""
    concluded = CheckResult(name=name, verdict=verdict, reason=reason, story=story)
    return CheckerSpec(name=name, summary="", check=lambda run, config: concluded)


CONTENT = checker(Verdict.VALID, "two pings explained")


def counted(ok: int = 2, **counts: Any) -> Tally:
    """What a run of `ok` successful operations of 1, 2, … milliseconds counted, with `counts` set besides."""
    tally = Tally()
    for number in range(ok):
        tally.completed(Ok(None), scheduled=0, now=(number + 1) * 1_000_000, warmup=0)
    return replace(tally, **counts)


def ended(tally: Tally | None = None, **changes: Any) -> EngineResult:
    """An engine's report of a run of two seconds."""
    settings: dict[str, Any] = {
        "tally": counted() if tally is None else tally,
        "crashes": (), "wall_s": 0.5, "virtual_s": 2.0, "measured_s": 2.0, "digest": "d1935",
    }  # fmt: skip
    return EngineResult(**{**settings, **changes})


def raised(node: str = "n2", function: str = "on_vote") -> NodeCrash:
    """A node whose handler divided by zero."""
    text = (
        "Traceback (most recent call last):\n"
        '  File "/opt/synod/framework/core/host.py", line 97, in deliver\n'
        "    handler(node, sender, message)\n"
        f'  File "/home/ada/votes.py", line 12, in {function}\n'
        "    share = 1 / 0\n"
        "ZeroDivisionError: division by zero\n"
    )
    return NodeCrash(node, 1_500_000_000, "ZeroDivisionError: division by zero", text)


class FakeEngine:
    """Leaves two completed pings in the history, reports progress once, and ends as it was told."""

    def __init__(self, ends: Callable[[Experiment, Progress], EngineResult] | EngineResult | None = None) -> None:
        self._ends = ends

    def run(self, experiment: Experiment, progress: Progress) -> EngineResult:
        if experiment.trace != "none":
            _two_pings(experiment.run_dir / "history.arrow")
        progress(SECOND, counted(1))
        if callable(self._ends):
            return self._ends(experiment, progress)
        return self._ends or ended()


def interrupt() -> None:
    """What Ctrl-C does to this process."""
    os.kill(os.getpid(), signal.SIGINT)


def _two_pings(path: Path) -> None:
    from framework.trace.recorder import HistoryWriter

    writer = HistoryWriter(path)
    for number, client in enumerate(("c1", "c2")):
        writer.rows.append((number, client, number, "ping", None, "null", "null", "ok", 0, 0, (number + 1) * 1_000_000))
    writer.close()
