"""The settings that are Synod's own: top-level keys, engines, scheduling, trace. Plugins bring the rest."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from framework.core.message import Config
from framework.core.size import Size
from framework.core.time import Duration

Count: TypeAlias = Annotated[int, Meta(ge=1)]


class RunConfig(Config):
    """The keys at the top level."""

    nodes: Annotated[int, Meta(ge=1, le=100_000)] = 3
    """Nodes: n1, n2, …"""
    spares: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """Nodes besides, named on from the last of `nodes`, that stand by until a fault schedule boots them."""
    clients: Annotated[int, Meta(ge=1, le=1_000_000)] = 10
    """Clients: c1, c2, …"""
    duration: Duration = Duration("10s")
    """How long clients start operations."""
    warmup: Duration = Duration("0")
    """How long of that is left out of throughput and latency."""
    quiet: Duration = Duration("1s")
    """With faults: how long before the end everything is healed, so that the protocol can show that it recovers; 0: that is
    not checked."""
    settle: Duration = Duration("5s")
    """How long, at the most, replicas may take to become equal once no operation is under way; 0: they are not compared."""
    seed: int = 0
    """What all randomness follows from."""


class SimConfig(Config):
    """The simulator: what a machine costs, in virtual time."""

    service_time: Duration = Duration("0")
    """How long a node's processor is busy with one step."""
    disk_latency: Duration = Duration("0")
    """How long a commit takes."""
    clock_offset: Duration = Duration("0")
    """How far, at most, a node's wall clock is from the true time, either way."""
    clock_drift_ppm: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """How much faster or slower, at most, a node's clocks run, in parts per million."""
    verify_determinism: bool = False
    """Whether the run is taken a second time, by a process of its own, and must come out the same."""
    check_invariants_every: Annotated[int, Meta(ge=0)] = 1
    """1: the protocol's invariants are checked after every step; 7: after every seventh of each node; 0: never."""


class RayConfig(Config):
    """Real nodes in Ray actors."""

    address: str | None = None
    """null: a Ray of our own on this machine; `auto` or HOST:PORT: join a running one."""
    transport: Literal["mesh", "actor_calls"] = "mesh"
    """How messages travel: over TCP connections between the actors, or as actor calls."""
    storage: Literal["sqlite", "memory"] = "sqlite"
    """Where durable state lives; `memory` survives no crash of a process."""
    nodes_per_actor: Count = 1
    """Nodes packed into one actor."""
    client_actors: Count = 1
    """Actors that the clients are spread over."""
    check_invariants: bool = True
    """With trace=full: whether the protocol's invariants are checked over the trace, when the run is over."""
    start_timeout: Duration = Duration("60s")
    """How long starting Ray and all actors may take."""


class SchedulingConfig(Config):
    """Node actors onto machines."""

    strategy: Literal["pack", "spread", "strict_spread"] = "pack"
    cpus_per_actor: Annotated[float, Meta(ge=0.0001)] = 0.01
    """Processors that Ray reserves for each node actor."""
    timeout: Duration = Duration("60s")
    """How long to wait for the machines."""


class TraceConfig(Config):
    """What is written down: every event, the clients' history alone, or nothing."""

    level: Literal["full", "history", "none"] = "full"


class SweepConfig(Config):
    """How the points of a sweep are chosen, run and kept. No part of the runs themselves."""

    params: dict[str, Any] = {}
    """What the points are: each key with the value or values that the command line would give it."""
    sampler: Literal["grid", "random", "latin_hypercube"] = "grid"
    """grid: all combinations, in the order written; random, latin_hypercube: `samples` draws, also from intervals."""
    samples: Count | None = None
    """How many combinations a sampler draws, each of which runs with every seed."""
    seed: int = 0
    """What the sampler's draws and `shuffle(…)` follow from."""
    dir: str | None = None
    """Where rows and kept runs go; runs/sweep-<name>-<id>, the same for the same command."""
    backend: Literal["auto", "processes", "ray"] = "auto"
    """Where simulated runs take place: processes of this machine, or actors of a Ray cluster; auto: Ray if `address` or
    `engine.address` is set."""
    address: str | None = None
    """The Ray cluster to use: `auto` or HOST:PORT; null: one of our own on this machine."""
    workers: Count | None = None
    """How many simulated runs are under way at once; null: one for each processor."""
    concurrent: Count | None = None
    """How many runs of the Ray engine are under way at once; null: 1 on one machine, what the cluster holds on several."""
    cpus_per_run: Annotated[float, Meta(gt=0)] | None = None
    """Processors reserved for a run of the Ray engine; null: its nodes and one more, at most all there are."""
    timeout: Duration = Duration("10m")
    """How long one run may take, in real time; 0: any time."""
    memory: Size | None = None
    """How much memory one simulated run may take beyond its worker's own; null: any amount. Linux only."""
    keep: Literal["invalid", "all", "none"] = "invalid"
    """Which runs keep their folders, with full trace."""
    kept: Annotated[int, Meta(ge=0)] = 100
    """How many invalid runs are kept; of those beyond, the command."""
    stop: Literal["never", "first_invalid"] = "never"
    """Whether the first invalid run ends the sweep."""


ENGINES: dict[str, tuple[type[Config], str]] = {
    "ray": (RayConfig, "Ray actors, real time: the truth about cost."),
    "sim": (SimConfig, "The deterministic simulator, virtual time: the same seed, the same run."),
}
"""Engines by name: config, and one line of what each is."""

SCHEDULINGS: dict[str, tuple[SchedulingConfig, str]] = {
    "pack": (SchedulingConfig(strategy="pack"), "Few machines."),
    "spread": (SchedulingConfig(strategy="spread"), "Many machines, if there are."),
    "strict_spread": (
        SchedulingConfig(strategy="strict_spread"),
        "Each actor on a machine of its own, or not at all.",
    ),
}

TRACES: dict[str, tuple[TraceConfig, str]] = {
    "full": (TraceConfig(level="full"), "Every event with its cause, and the history."),
    "history": (TraceConfig(level="history"), "What clients did and saw."),
    "none": (TraceConfig(level="none"), "Nothing: for measuring; no checker can run."),
}
