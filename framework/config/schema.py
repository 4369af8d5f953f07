"""The settings that are Synod's own: top-level keys, engines, scheduling, trace. Plugins bring the rest."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from framework.core.message import Config
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
    timeout: Duration = Duration("60s")
    """How long to wait for the machines."""


class TraceConfig(Config):
    """What is written down: every event, the clients' history alone, or nothing."""

    level: Literal["full", "history", "none"] = "full"


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
