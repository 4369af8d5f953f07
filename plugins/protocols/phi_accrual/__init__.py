"""Failure detection by accrued suspicion (Hayashibara, Défago, Yared and Katayama, 2004)."""

from __future__ import annotations

from framework import ProtocolSpec, Sometimes, SuspectsClient, hookimpl, wrong_suspicion
from plugins.protocols.phi_accrual.invariants import INVARIANTS
from plugins.protocols.phi_accrual.node import PhiAccrualConfig, PhiAccrualDetector


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="phi_accrual",
            summary="Failure detection: a time-out that follows the heartbeats' intervals (Hayashibara, 2004).",
            node=PhiAccrualDetector,
            client=SuspectsClient,
            config=PhiAccrualConfig,
            operations=("suspects",),
            checkers=("suspects",),
            recovers=True,
            settled=wrong_suspicion,
            invariants=INVARIANTS,
            sometimes=(
                Sometimes("a node was suspected", "suspected"),
                Sometimes("a suspicion was a mistake", "mistake"),
            ),
        )
    ]
