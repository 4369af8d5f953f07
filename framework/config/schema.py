"""Synod's own settings: top-level keys, engines, scheduling, trace, sweeps. Plugins bring the rest."""

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
    """Number of nodes: n1, n2, …"""
    spares: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """Number of extra nodes, named on from the last of `nodes`, that stay off until a fault boots them."""
    clients: Annotated[int, Meta(ge=1, le=1_000_000)] = 10
    """Number of clients: c1, c2, …"""
    duration: Duration = Duration("10s")
    """Time during which clients start operations."""
    warmup: Duration = Duration("0")
    """Time at the start of the run that throughput and latency leave out."""
    quiet: Duration = Duration("1s")
    """With faults: time before the end at which everything is healed, to check that the protocol recovers; 0: recovery
    is not checked."""
    settle: Duration = Duration("5s")
    """Maximum time for replicas to become equal once no operation is under way; 0: replicas are not compared."""
    seed: int = 0
    """Seed of all randomness in the run."""


class SimConfig(Config):
    """The simulator. Its costs are in virtual time."""

    service_time: Duration = Duration("0")
    """Processor time of one step of a node."""
    disk_latency: Duration = Duration("0")
    """Time that a commit takes."""
    clock_offset: Duration = Duration("0")
    """Maximum offset of a node's wall clock from the true time, in either direction."""
    clock_drift_ppm: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """Maximum drift of a node's clocks, faster or slower, in parts per million."""
    verify_determinism: bool = False
    """Whether the run is repeated in a separate process, to check that its result is the same."""
    check_invariants_every: Annotated[int, Meta(ge=0)] = 1
    """How often the protocol's invariants are checked: 1: after every step; 7: after every seventh of each node; 0:
    never."""


class RayConfig(Config):
    """Real nodes in Ray actors."""

    address: str | None = None
    """The Ray cluster to join, `auto` or HOST:PORT; null: starts a new one on this machine."""
    transport: Literal["mesh", "actor_calls"] = "mesh"
    """How messages travel: `mesh` is TCP connections between the actors, `actor_calls` is Ray's actor calls."""
    storage: Literal["sqlite", "memory"] = "sqlite"
    """Where durable state is kept; `memory` is lost when a process crashes."""
    nodes_per_actor: Count = 1
    """Number of nodes in each node actor."""
    clients_per_actor: Annotated[int, Meta(ge=0)] = 0
    """Number of clients in each client actor; 0: all in one. 1 lets faults pause a client by itself."""
    check_invariants: bool = True
    """With trace=full: whether the protocol's invariants are checked against the trace after the run."""
    start_timeout: Duration = Duration("60s")
    """Maximum time for starting Ray and all actors."""


class SchedulingConfig(Config):
    """The placement of node actors on machines."""

    strategy: Literal["pack", "spread", "strict_spread"] = "pack"
    cpus_per_actor: Annotated[float, Meta(ge=0.0001)] = 0.01
    """Number of processors that Ray reserves for each node actor."""
    timeout: Duration = Duration("60s")
    """Maximum time to wait for the machines."""


class TraceConfig(Config):
    """The detail of the trace: every event, the clients' history alone, or nothing."""

    level: Literal["full", "history", "none"] = "full"


class SweepConfig(Config):
    """The choice, execution and storage of a sweep's points. These settings are not part of the runs themselves."""

    params: dict[str, Any] = {}
    """The keys that define the points, each with its value or values as the command line would give them."""
    sampler: Literal["grid", "random", "latin_hypercube"] = "grid"
    """How points are chosen. grid: all combinations, in the order written; random, latin_hypercube: `samples` draws,
    also from intervals."""
    samples: Count | None = None
    """Number of combinations that a sampler draws; each runs with every seed."""
    seed: int = 0
    """Seed of the sampler's draws and of `shuffle(…)`."""
    dir: str | None = None
    """The folder of rows and kept runs; by default runs/sweep-<name>-<id>, the same for the same command."""
    backend: Literal["auto", "processes", "ray"] = "auto"
    """Where simulated runs take place: in processes of this machine, or in actors of a Ray cluster; auto: Ray if
    `address` or `engine.address` is set."""
    address: str | None = None
    """The Ray cluster to join, `auto` or HOST:PORT; null: starts a new one on this machine."""
    workers: Count | None = None
    """Number of simulated runs at the same time; null: one for each processor."""
    concurrent: Count | None = None
    """Number of runs of the Ray engine at the same time; null: 1 on one machine, as many as fit on several machines."""
    cpus_per_run: Annotated[float, Meta(gt=0)] | None = None
    """Number of processors reserved for a run of the Ray engine; null: one for each node and one more, at most all of
    them."""
    timeout: Duration = Duration("10m")
    """Maximum real time of one run; 0: no limit."""
    memory: Size | None = None
    """Maximum memory of one simulated run beyond its worker's own; null: no limit. Linux only."""
    keep: Literal["invalid", "all", "none"] = "invalid"
    """Which runs keep their folders, with a full trace."""
    kept: Annotated[int, Meta(ge=0)] = 100
    """Maximum number of invalid runs whose folders are kept; for the others, the sweep prints the command."""
    stop: Literal["never", "first_invalid"] = "never"
    """When to end the sweep early: never, or at the first invalid run."""


ENGINES: dict[str, tuple[type[Config], str]] = {
    "ray": (RayConfig, "Ray actors in real time, for measuring real cost."),
    "sim": (SimConfig, "The deterministic simulator in virtual time: the same seed gives the same run."),
}
"""Engines by name: config, and a one-line summary."""

SCHEDULINGS: dict[str, tuple[SchedulingConfig, str]] = {
    "pack": (SchedulingConfig(strategy="pack"), "As few machines as possible."),
    "spread": (SchedulingConfig(strategy="spread"), "As many machines as possible."),
    "strict_spread": (
        SchedulingConfig(strategy="strict_spread"),
        "Each actor on its own machine; fails if there are too few.",
    ),
}

TRACES: dict[str, tuple[TraceConfig, str]] = {
    "full": (TraceConfig(level="full"), "Every event with its cause, and the history."),
    "history": (TraceConfig(level="history"), "What clients did and saw."),
    "none": (TraceConfig(level="none"), "Nothing, for measuring: no checker can run."),
}
