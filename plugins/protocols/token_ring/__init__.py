"""Mutual exclusion by a token that goes round a ring (Le Lann, 1977), replaced in an election (Chang and Roberts,
1979)."""

from __future__ import annotations

from framework import ACQUIRE, RELEASE, BoundClient, ProtocolSpec, Sometimes, hookimpl
from plugins.protocols.token_ring.config import TokenRingConfig
from plugins.protocols.token_ring.invariants import INVARIANTS
from plugins.protocols.token_ring.node import TokenRing


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="token_ring",
            summary="Mutual exclusion: a token goes round, and is replaced in an election (Le Lann, 1977).",
            node=TokenRing,
            client=BoundClient,
            config=TokenRingConfig,
            operations=(ACQUIRE, RELEASE),
            checkers=("mutual_exclusion", "guarded_store", "fencing_tokens", "lock_progress"),
            invariants=INVARIANTS,
            sometimes=(
                Sometimes("a grant came too late", "gave_back"),
                Sometimes("a lost token was replaced", "regenerated"),
                Sometimes("a token that was only late was found", "not_lost"),
                Sometimes("a token that was taken for lost came", "discarded"),
            ),
            assumes=("reliable",),
        )
    ]
