"""A small protocol to try engines on: clients append to one node's durable journal, which acknowledges what is safe."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from framework.core.client import Client, Ok, Operation, OperationId
from framework.core.durable import DurableLog, durable_log
from framework.core.message import Config, Message, NodeId
from framework.core.node import Node, handles, on_timer
from framework.core.time import MILLISECOND, SECOND, Duration
from framework.engine.base import EngineResult, Experiment
from framework.engine.sim.engine import SimEngine
from framework.faults.fault import TargetConfig
from framework.load.workload import Workload, WorkloadConfig
from framework.network.model import ConstantLink, Link, NetworkModel
from framework.registry.specs import FaultSpec, NetworkSpec, ProtocolSpec, WorkloadSpec
from plugins.faults.crash import CrashFault


class Append(Message):
    operation: OperationId
    text: str


class Appended(Message):
    operation: OperationId
    index: int


class Heard(Message):
    operation: OperationId


class Journal(Node):
    """Says `Heard` before the commit and `Appended` after it."""

    lines: DurableLog[str] = durable_log(str)

    def on_start(self) -> None:
        self.note("started", lines=len(self.lines))

    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        index = self.lines.append(append.text)
        self.send(sender, Heard(append.operation), before_commit=True)
        self.send(sender, Appended(append.operation, index))
        self.set_timer(self.seal, after=0)

    @on_timer
    def seal(self) -> None:
        self.note("sealed", lines=len(self.lines))


class Writer(Client):
    def on_start(self) -> None:
        self.heard = 0

    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Append(operation.id, str(operation.argument)))

    @handles(Heard)
    def on_heard(self, sender: NodeId, heard: Heard) -> None:
        self.heard += 1

    @handles(Appended)
    def on_appended(self, sender: NodeId, appended: Appended) -> None:
        self.complete(appended.operation, Ok(appended.index))


class Words(Workload):
    def functions(self) -> tuple[str, ...]:
        return ("append",)

    def next(self, client: NodeId, now: int, rng: random.Random) -> tuple[str, str | None, Any]:
        return "append", None, f"{client}-{rng.randrange(1_000_000)}"


class Even(NetworkModel):
    """0.5 ms one way."""

    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        return ConstantLink(MILLISECOND // 2)


class Moody(NetworkModel):
    """Loses a tenth, repeats a tenth."""

    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        return MoodyLink(rng)


class MoodyLink(Link):
    __slots__ = ("rng",)

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng

    def transmit(self, now: int, size: int) -> tuple[int, ...]:
        draw = self.rng.random()
        at = now + self.rng.randrange(MILLISECOND, 3 * MILLISECOND)
        return () if draw < 0.1 else (at, at + 1000) if draw < 0.2 else (at,)


class Engine(Config):
    service_time: Duration = Duration("0")
    disk_latency: Duration = Duration("0")
    clock_offset: Duration = Duration("0")
    clock_drift_ppm: int = 0
    check_invariants_every: int = 1


def experiment(run_dir: Path, **changes: Any) -> Experiment:
    """One node, two clients, one virtual second."""
    given: dict[str, Any] = {
        "name": "journal",
        "seed": 7,
        "nodes": ("n1",),
        "clients": ("c1", "c2"),
        "duration": SECOND,
        "warmup": 0,
        "protocol": ProtocolSpec(name="journal", summary="", node=Journal, client=Writer),
        "protocol_config": None,
        "workload": WorkloadSpec(name="words", summary="", workload=Words),
        "workload_config": WorkloadConfig(timeout=Duration("200ms")),
        "network": NetworkSpec(name="even", summary="", model=Even),
        "network_config": None,
        "faults": (),
        "engine_config": Engine(),
        "scheduling_config": None,
        "trace": "full",
        "run_dir": run_dir,
    }
    return Experiment(**{**given, **changes})


def moody() -> NetworkSpec:
    return NetworkSpec(name="moody", summary="", model=Moody)


def crash(at: str = "1s", down: str = "100ms") -> tuple[tuple[str, FaultSpec, Any], ...]:
    spec = FaultSpec(name="crash", summary="", fault=CrashFault, config=TargetConfig)
    return (("crash", spec, TargetConfig(at=Duration(at), lasts=Duration(down), target="n1")),)


def simulate(run: Experiment) -> EngineResult:
    return SimEngine().run(run, lambda time, tally: None)
