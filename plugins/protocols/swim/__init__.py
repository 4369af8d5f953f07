"""Failure detection by SWIM (Das, Gupta and Motivala, 2002)."""

from __future__ import annotations

from framework import ProtocolSpec, Sometimes, SuspectsClient, hookimpl, wrong_suspicion
from plugins.protocols.swim.config import SwimConfig
from plugins.protocols.swim.invariants import INVARIANTS
from plugins.protocols.swim.node import Swim


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="swim",
            summary="Failure detection: random probes, and news that spreads on them (Das, Gupta and Motivala, 2002).",
            node=Swim,
            client=SuspectsClient,
            config=SwimConfig,
            operations=("suspects",),
            checkers=("suspects",),
            recovers=True,
            settled=wrong_suspicion,
            invariants=INVARIANTS,
            sometimes=(
                Sometimes("a node was suspected", "suspected"),
                Sometimes("a suspicion was a mistake", "mistake"),
                Sometimes("an indirect probe helped", "indirect_ack"),
                Sometimes("a suspicion was refuted", "refuted"),
                Sometimes("a suspicion was confirmed", "confirmed"),
            ),
        )
    ]
