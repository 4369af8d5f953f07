"""Raft: a replicated state machine under an elected leader (Ongaro and Ousterhout, USENIX ATC 2014)."""

from __future__ import annotations

from framework import ProtocolSpec, SessionClient, Sometimes, hookimpl
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.invariants import INVARIANTS
from plugins.protocols.raft.node import Raft


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="raft",
            summary="A replicated state machine under an elected leader (Ongaro and Ousterhout, 2014).",
            node=Raft,
            client=SessionClient,
            config=RaftConfig,
            checkers=("linearizability",),
            recovers=True,
            administration=("add_node", "remove_node", "transfer_leader"),
            sometimes=(
                Sometimes("the leader changed", "elected", 2),
                Sometimes("a leader stepped down", "stepped_down"),
                Sometimes("a log was truncated", "truncated"),
            ),
            invariants=INVARIANTS,
        )
    ]
