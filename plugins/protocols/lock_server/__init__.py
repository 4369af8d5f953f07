"""A central lock server: one node grants locks to sessions, with leases, queues and fencing tokens."""

from __future__ import annotations

from framework import ProtocolSpec, Sometimes, hookimpl
from plugins.protocols.lock_server.config import LockServerConfig
from plugins.protocols.lock_server.invariants import INVARIANTS
from plugins.protocols.lock_server.messages import SERVER
from plugins.protocols.lock_server.node import OPERATIONS, LockServer, LockServerClient


def recovery_time(config: LockServerConfig) -> int:
    """Returns the time after which what a client has left behind is gone."""
    return int(config.lease)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="lock_server",
            summary="A central server grants locks, with leases and fencing tokens.",
            client=LockServerClient,
            roles={SERVER: (LockServer, 1)},
            config=LockServerConfig,
            operations=OPERATIONS,
            checkers=("guarded_store", "fencing_tokens", "lock_progress"),
            recovers=True,
            recovery_time=recovery_time,
            sometimes=(
                Sometimes("a lease ended", "session_expired"),
                Sometimes("a request was recognized as executed", "repeated"),
                Sometimes("a client asked again", "asked_again"),
            ),
            invariants=INVARIANTS,
        )
    ]
