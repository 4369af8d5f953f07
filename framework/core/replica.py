"""Replicas: a node's view of its copy of the replicated state, so that the copies of a run can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from framework.core.errors import PluginError

SHOWN = 1 << 20
"""The largest state that is kept whole, in bytes. A larger one is compared by its digest alone."""


@dataclass(frozen=True)
class Replica:
    """A node's copy of the replicated state.

    `applied` is its progress: a log index, or always 0 in a protocol without an order. `snapshot` returns the state at
    that point; equal states give equal bytes. It may be slow: it is called only at the end of a run.
    """

    applied: int
    snapshot: Callable[[], bytes]

    def __post_init__(self) -> None:
        if not callable(self.snapshot):
            what = f"snapshot is {type(self.snapshot).__name__}, and not a function that returns bytes"
            raise PluginError("Replica", what, "Write Replica(applied, self.machine.snapshot), without calling it.")
        if not isinstance(self.applied, int):
            what = f"applied={self.applied!r} is not an integer"
            raise PluginError("Replica", what, "Give the index of the last command applied, or 0 if there is no order.")


@dataclass(frozen=True)
class ReplicaState:
    """The progress of a replica, with the digest of its snapshot, and the snapshot itself unless it is large.

    `digest` is empty if only the progress was asked for.
    """

    applied: int
    digest: str = ""
    state: bytes = b""


class HasReplicas(Protocol):
    """An object with replicas, such as a node."""

    @property
    def replicas(self) -> Mapping[str, Replica]: ...


def replica_states(nodes: Mapping[str, HasReplicas], *, whole: bool) -> dict[str, ReplicaState]:
    """Returns the progress of all replicas on a node and in its mounts, with their states if `whole`.

    `nodes` are by mount path. A replica is named by the path of its mount, and by its own name if it has one.
    """
    found: dict[str, ReplicaState] = {}
    for path, node in nodes.items():
        replicas = node.replicas
        where = f"{type(node).__qualname__}.replicas"
        fits = isinstance(replicas, Mapping) and all(
            isinstance(name, str) and isinstance(each, Replica) for name, each in replicas.items()
        )
        if not fits:
            raise PluginError(where, f"gives {replicas!r}", "Return a dict of Replicas by name.")
        for name, replica in replicas.items():
            full = "/".join(part for part in (path, name) if part)
            if full in found:
                raise PluginError(where, f"there are two copies called {full!r}", "Rename the copy, or the mount.")
            found[full] = replica_state(replica, whole=whole)
    return found


def replica_state(replica: Replica, *, whole: bool) -> ReplicaState:
    """Returns the progress of a replica, with its state if `whole`."""
    if not whole:
        return ReplicaState(replica.applied)
    state = replica.snapshot()
    digest = hashlib.blake2b(state, digest_size=8).hexdigest()
    return ReplicaState(replica.applied, digest, state if len(state) <= SHOWN else b"")
