"""Mutual exclusion by a queue at every node (Lamport, 1978)."""

from __future__ import annotations

from framework import ACQUIRE, LOCK_INVARIANTS, RELEASE, BoundClient, ProtocolSpec, Sometimes, hookimpl
from plugins.protocols.lamport_mutex.node import LamportMutex


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="lamport_mutex",
            summary="Mutual exclusion: every node keeps the queue of all requests (Lamport, 1978).",
            node=LamportMutex,
            client=BoundClient,
            operations=(ACQUIRE, RELEASE),
            checkers=("mutual_exclusion", "guarded_store", "fencing_tokens", "lock_progress"),
            invariants=LOCK_INVARIANTS,
            sometimes=(Sometimes("a grant came too late", "gave_back"),),
            assumes=("reliable", "fifo", "no_crash"),
        )
    ]
