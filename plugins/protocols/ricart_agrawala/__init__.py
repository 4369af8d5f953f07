"""Mutual exclusion by permissions from all nodes (Ricart and Agrawala, 1981)."""

from __future__ import annotations

from framework import ACQUIRE, LOCK_INVARIANTS, RELEASE, BoundClient, ProtocolSpec, Sometimes, hookimpl
from plugins.protocols.ricart_agrawala.node import RicartAgrawala


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="ricart_agrawala",
            summary="Mutual exclusion: a node enters with a reply from all others (Ricart and Agrawala, 1981).",
            node=RicartAgrawala,
            client=BoundClient,
            operations=(ACQUIRE, RELEASE),
            checkers=("mutual_exclusion", "guarded_store", "fencing_tokens", "lock_progress"),
            invariants=LOCK_INVARIANTS,
            sometimes=(Sometimes("a grant came too late", "gave_back"),),
            assumes=("reliable", "no_crash"),
        )
    ]
