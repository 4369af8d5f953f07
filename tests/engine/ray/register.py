"""A replicated register to try the engine with (Attiya, Bar-Noy and Dolev, 1995): quorums, durable state, a log.

`write` and `read` take two rounds over a majority; `boom` makes the first server raise.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from framework import (
    Client,
    ClusterView,
    Config,
    Crash,
    DurableLog,
    Duration,
    Fault,
    FaultPlan,
    FaultSpec,
    Injection,
    Link,
    Message,
    NetworkModel,
    NetworkSpec,
    Node,
    NodeId,
    Ok,
    Operation,
    OperationId,
    PlannedFault,
    ProtocolSpec,
    Record,
    Restart,
    Status,
    Value,
    Workload,
    WorkloadConfig,
    WorkloadSpec,
    durable,
    durable_log,
    handles,
    on_timer,
)
from framework.config.schema import RayConfig, SchedulingConfig
from framework.engine.base import Experiment


class Stamp(Record):
    version: int
    writer: str


class Ask(Message):
    operation: OperationId


class Told(Message):
    operation: OperationId
    stamp: Stamp
    value: str | None


class Store(Message):
    operation: OperationId
    stamp: Stamp
    value: str | None


class Stored(Message):
    operation: OperationId


class Boom(Message):
    operation: OperationId


class RegisterStatus(Status):
    accepted: int = 0


class RegisterNode(Node):
    stamp: Stamp = durable(Stamp(0, ""))
    value: str | None = durable(None)
    accepted: DurableLog[Stamp] = durable_log(Stamp)

    def on_start(self) -> None:
        self.note("started", accepted=self.accepted.last, now=self.now, wall=self.wall_clock)

    @handles(Ask)
    def on_ask(self, sender: NodeId, ask: Ask) -> None:
        self.send(sender, Told(ask.operation, self.stamp, self.value))

    @handles(Store)
    def on_store(self, sender: NodeId, store: Store) -> None:
        if (store.stamp.version, store.stamp.writer) > (self.stamp.version, self.stamp.writer):
            self.stamp, self.value = store.stamp, store.value
            self.accepted.append(store.stamp)
        self.send(sender, Stored(store.operation))

    @handles(Boom)
    def on_boom(self, sender: NodeId, boom: Boom) -> None:
        raise ZeroDivisionError("as asked")

    @property
    def status(self) -> RegisterStatus:
        return RegisterStatus(("replica",), accepted=self.accepted.last)


class RegisterClient(Client):
    def on_start(self) -> None:
        self.asking: Operation | None = None
        self.told: dict[NodeId, Told] = {}
        self.stored: set[NodeId] = set()
        self.best = Stamp(0, "")
        self.value: str | None = None

    def invoke(self, operation: Operation) -> None:
        self.asking, self.told, self.stored = operation, {}, set()
        if operation.function == "boom":
            self.send(self.servers[0], Boom(operation.id))
            self.complete(operation.id, Ok(None))
            return
        self.ask()

    @on_timer
    def ask(self) -> None:
        if self.asking is not None and self.current is not None:
            if not self.majority(len(self.told)):
                self.broadcast(Ask(self.asking.id))
            else:
                self.broadcast(Store(self.asking.id, self.best, self.value))
            self.set_timer(self.ask, after=100_000_000)

    @handles(Told)
    def on_told(self, sender: NodeId, told: Told) -> None:
        operation = self.asking
        if operation is None or told.operation != operation.id or self.majority(len(self.told)):
            return
        self.told[sender] = told
        if self.majority(len(self.told)):
            newest = max(self.told.values(), key=lambda told: (told.stamp.version, told.stamp.writer))
            self.best, self.value = newest.stamp, newest.value
            if operation.function == "write":
                self.best, self.value = Stamp(self.best.version + 1, self.id), operation.argument
            self.broadcast(Store(operation.id, self.best, self.value))

    @handles(Stored)
    def on_stored(self, sender: NodeId, stored: Stored) -> None:
        if self.asking is None or stored.operation != self.asking.id:
            return
        self.stored.add(sender)
        if self.majority(len(self.stored)):
            operation, self.asking = self.asking, None
            self.complete(operation.id, Ok(None if operation.function == "write" else self.value))

    def majority(self, count: int) -> bool:
        return count > len(self.servers) // 2


class RegisterWorkloadConfig(WorkloadConfig):
    boom_after: int = 0
    """After so many operations of a client comes a `boom`; 0: never."""


class RegisterWorkload(Workload):
    config: RegisterWorkloadConfig

    def __init__(self, config: RegisterWorkloadConfig) -> None:
        super().__init__(config)
        self.counts: dict[NodeId, int] = {}

    def functions(self) -> tuple[str, ...]:
        return ("read", "write", "boom")

    def next(self, client: NodeId, now: int, rng: random.Random) -> tuple[str, str | None, Value]:
        count = self.counts[client] = self.counts.get(client, 0) + 1
        if count == self.config.boom_after:
            return "boom", None, None
        return ("write", "x", f"{client}.{count}") if rng.random() < 0.5 else ("read", "x", None)


class Bare(NetworkModel):
    """The real network alone."""

    simulated_only = True

    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        raise AssertionError("an engine with a network of its own asks for no link")


class Timed(Record):
    """What a script does, and when, in nanoseconds; `lasts` 0: it is undone at the heal. `name` is its line in the ledger."""

    at: int
    name: str
    does: tuple[Any, ...]
    undoes: tuple[Any, ...] = ()
    lasts: int = 0
    against: tuple[NodeId, ...] = ()


class ScriptConfig(Config):
    strikes: tuple[Timed, ...] = ()


class Script(FaultPlan):
    """Does what it is told, when it is told."""

    config: ScriptConfig

    def planned_faults(self, name: str, span: int, rng: random.Random) -> Iterable[PlannedFault]:
        for timed in self.config.strikes:
            yield PlannedFault(timed.at, OneDeed(timed), f"{name}/{timed.name}", timed.lasts)


class OneDeed(Fault):
    config: Timed

    def inject(self, view: ClusterView) -> Injection | None:
        return Injection(self.config.does, self.config.undoes, self.config.against)


def crash(at: int, node: NodeId, lasts: int = 0) -> Timed:
    return Timed(at, "crash", (Crash(node),), (Restart(node),), lasts, (node,))


PROTOCOL = ProtocolSpec(name="register", summary="A register.", node=RegisterNode, client=RegisterClient)
WORKLOAD = WorkloadSpec(
    name="register", summary="Reads and writes.", workload=RegisterWorkload, config=RegisterWorkloadConfig
)
BARE = NetworkSpec(name="bare", summary="The real network.", model=Bare)
SCRIPT = FaultSpec(name="script", summary="Actions by the clock.", plan=Script, config=ScriptConfig)


def register_run(folder: Path, **options: Any) -> Experiment:
    """A register on three nodes for one second; `options` are fields of `Experiment`, `engine` those of `RayConfig`,
    `script` the strikes of a fault, `boom_after` that of the workload."""
    nodes, clients = options.pop("nodes", 3), options.pop("clients", 3)
    engine = RayConfig(**options.pop("engine", {}))
    script = options.pop("script", ())
    settings: dict[str, Any] = {
        "name": "register", "seed": 1, "duration": 1_000_000_000, "warmup": 0, "trace": "full",
        "protocol": PROTOCOL, "protocol_config": None, "workload": WORKLOAD,
        "workload_config": RegisterWorkloadConfig(
            boom_after=options.pop("boom_after", 0), timeout=Duration("2s"), think_time=Duration("2ms")
        ),
        "network": BARE, "network_config": None,
        "faults": (("script", SCRIPT, ScriptConfig(strikes=tuple(script))),) if script else (),
        "engine_config": engine, "scheduling_config": SchedulingConfig(timeout=Duration("20s")), "run_dir": folder,
    }  # fmt: skip
    return Experiment(
        nodes=tuple(f"n{number + 1}" for number in range(nodes)),
        clients=tuple(f"c{number + 1}" for number in range(clients)),
        **{**settings, **options},
    )
