"""The Synod: single-decree Paxos (Lamport, Paxos Made Simple, 2001; The Part-Time Parliament, 1998)."""

from __future__ import annotations

from framework import ProtocolSpec, Sometimes, hookimpl
from plugins.protocols.paxos.client import PaxosClient
from plugins.protocols.paxos.config import PaxosConfig
from plugins.protocols.paxos.invariants import INVARIANTS
from plugins.protocols.paxos.node import Paxos


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="paxos",
            summary="The Synod: each key decides one value (Lamport, Paxos Made Simple, 2001).",
            node=Paxos,
            client=PaxosClient,
            config=PaxosConfig,
            operations=("propose",),
            model="consensus",
            checkers=("linearizability",),
            recovers=True,
            sometimes=(
                Sometimes("a ballot was refused", "refused"),
                Sometimes("a proposer adopted another's value", "adopted"),
            ),
            invariants=INVARIANTS,
        )
    ]
