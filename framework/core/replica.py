"""Replicas: what a node shows of its copy of the replicated state, so that the copies of a run can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

SHOWN = 1 << 20
"""A state of more bytes than this is compared by its digest alone."""


@dataclass(frozen=True)
class Replica:
    """A node's copy of the replicated state.

    `applied` says how far it has come: a log index, or 0 throughout in a protocol that knows no order. `snapshot` gives
    the state there; equal states give equal bytes. It may be slow: it is asked for at the end of a run alone.
    """

    applied: int
    snapshot: Callable[[], bytes]


@dataclass(frozen=True)
class ReplicaState:
    """How far a replica has come, and what it holds there: the digest of its snapshot, and the snapshot if it is not large.

    One that was looked at in passing has no digest.
    """

    applied: int
    digest: str = ""
    state: bytes = b""


def replica_state(replica: Replica | None, *, whole: bool) -> ReplicaState | None:
    """How far a node's replica has come, with its state if `whole`; None if the node keeps no copy of anything."""
    if replica is None:
        return None
    if not whole:
        return ReplicaState(replica.applied)
    state = replica.snapshot()
    digest = hashlib.blake2b(state, digest_size=8).hexdigest()
    return ReplicaState(replica.applied, digest, state if len(state) <= SHOWN else b"")
