"""Mutual exclusion by permissions from a quorum (Maekawa, 1985; corrected by Sanders, 1987)."""

from __future__ import annotations

from framework import ACQUIRE, RELEASE, BoundClient, ProtocolSpec, Sometimes, hookimpl
from plugins.protocols.maekawa.invariants import INVARIANTS
from plugins.protocols.maekawa.node import Maekawa


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="maekawa",
            summary="Mutual exclusion: a node enters with the permissions of a quorum (Maekawa, 1985; Sanders, 1987).",
            node=Maekawa,
            client=BoundClient,
            operations=(ACQUIRE, RELEASE),
            checkers=("mutual_exclusion", "guarded_store", "fencing_tokens", "lock_progress"),
            invariants=INVARIANTS,
            sometimes=(
                Sometimes("a grant came too late", "gave_back"),
                Sometimes("a permission was given back", "relinquished"),
                Sometimes("a request was displaced", "displaced"),
            ),
            assumes=("reliable", "no_crash"),
        )
    ]
