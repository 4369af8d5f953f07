"""Multi-Paxos: a replicated state machine under a stable leader (Lamport, Paxos Made Simple, 2001)."""

from __future__ import annotations

from framework import ProtocolSpec, SessionClient, Sometimes, hookimpl
from plugins.protocols.multipaxos.config import MultiPaxosConfig
from plugins.protocols.multipaxos.invariants import INVARIANTS
from plugins.protocols.multipaxos.node import MultiPaxos


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="multipaxos",
            summary="A replicated state machine under a stable leader (Lamport, Paxos Made Simple, 2001).",
            node=MultiPaxos,
            client=SessionClient,
            config=MultiPaxosConfig,
            checkers=("linearizability",),
            recovers=True,
            sometimes=(
                Sometimes("the leader changed", "elected", 2),
                Sometimes("a leader stepped down", "stepped_down"),
                Sometimes("a leader raised its ballot", "raised"),
                Sometimes("a checkpoint was installed", "installed_snapshot"),
            ),
            invariants=INVARIANTS,
            administration=("transfer_leader",),
        )
    ]
