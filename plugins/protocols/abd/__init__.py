"""ABD: atomic registers without consensus (Attiya, Bar-Noy and Dolev, JACM 1995; Lynch and Shvartsman, FTCS 1997)."""

from __future__ import annotations

from framework import ProtocolSpec, hookimpl
from plugins.protocols.abd.client import RegisterClient
from plugins.protocols.abd.config import AbdConfig
from plugins.protocols.abd.invariants import INVARIANTS
from plugins.protocols.abd.node import Replica


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="abd",
            summary="Atomic registers without consensus (Attiya, Bar-Noy and Dolev, 1995), with many writers.",
            node=Replica,
            client=RegisterClient,
            config=AbdConfig,
            operations=("read", "write"),
            model="register",
            checkers=("linearizability",),
            recovers=True,
            invariants=INVARIANTS,
        )
    ]
