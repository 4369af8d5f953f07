"""Failure detection by heartbeats with a fixed time-out (Chen, Toueg and Aguilera, 2002, section 1)."""

from __future__ import annotations

from framework import DETECTOR_INVARIANTS, ProtocolSpec, Sometimes, SuspectsClient, hookimpl, wrong_suspicion
from plugins.protocols.heartbeat.node import HeartbeatConfig, HeartbeatDetector


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="heartbeat",
            summary="Failure detection: heartbeats from all to all, and a fixed time-out.",
            node=HeartbeatDetector,
            client=SuspectsClient,
            config=HeartbeatConfig,
            operations=("suspects",),
            checkers=("suspects",),
            recovers=True,
            settled=wrong_suspicion,
            invariants=DETECTOR_INVARIANTS,
            sometimes=(
                Sometimes("a node was suspected", "suspected"),
                Sometimes("a suspicion was a mistake", "mistake"),
            ),
        )
    ]
