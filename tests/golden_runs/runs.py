"""The runs, and their digests."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from framework.engine.sim.engine import SimEngine
from framework.trace.reader import open_run
from tests.composing import composed

DIGESTS = Path(__file__).with_name("digests.json")

_EXPERIMENTS = {
    "echo": ("experiment=hello", "nodes=3"),
    "abd": ("experiment=abd_5nodes",),
    "paxos": ("experiment=paxos_5nodes",),
    "multipaxos": ("experiment=multipaxos_5nodes",),
    "raft": ("experiment=raft_5nodes",),
}
_FAULTS = {
    "calm": (),
    "crash": ("faults=crash", "faults.crash.at=300ms", "faults.crash.every=400ms", "faults.crash.for=150ms"),
    "partition": (
        "faults=partition",
        "faults.partition.at=300ms",
        "faults.partition.every=500ms",
        "faults.partition.for=300ms",
    ),
    "chaos": ("faults=chaos", "faults.chaos.at=200ms"),
}
_DISKS = {"instant": (), "slow": ("engine.disk_latency=2ms", "engine.service_time=50us")}
_EVENTS = ("time", "seq", "cause", "size", "kind")
_HISTORY = ("operation", "process", "outcome", "scheduled", "invoked", "completed")


class Digest(NamedTuple):
    """How many events and operations a run has, and SHA-256 of their numbers."""

    events: int
    operations: int
    events_sha256: str
    history_sha256: str


def names() -> Iterator[str]:
    """`raft-chaos-slow`, and so on: protocol, faults, disk."""
    for protocol in _EXPERIMENTS:
        for faults in _FAULTS:
            for disk in _DISKS:
                yield f"{protocol}-{faults}-{disk}"


def digest_of(name: str, folder: Path) -> Digest:
    """Takes the run in `folder`."""
    protocol, faults, disk = name.split("-")
    words = (
        *_EXPERIMENTS[protocol], *_FAULTS[faults], *_DISKS[disk], "engine=sim", "duration=1500ms", "quiet=400ms",
        "clients=4", "workload.think_time=5ms", "seed=7",
    )  # fmt: skip
    experiment = dataclasses.replace(composed(*words).experiment, run_dir=folder)
    SimEngine().run(experiment, lambda now, tally: None)
    run = open_run(folder)
    return Digest(len(run.events), len(run.history), _sha256(run.events, _EVENTS), _sha256(run.history, _HISTORY))


def pinned() -> dict[str, Digest]:
    """The digests that the runs must have."""
    return {name: Digest(**digest) for name, digest in json.loads(DIGESTS.read_text()).items()}


def _sha256(table: pa.Table, columns: tuple[str, ...]) -> str:
    found = hashlib.sha256()
    for column in columns:
        values = table[column]
        if pa.types.is_dictionary(values.type):
            found.update(",".join(values.cast(pa.string()).to_pylist()).encode())
        else:
            found.update(pc.fill_null(values, -1).to_numpy().astype("<i8").tobytes())
    return found.hexdigest()
