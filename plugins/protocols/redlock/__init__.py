"""Redlock: locks at a majority of independent servers, with leases by their wall clocks (antirez, 2014)."""

from __future__ import annotations

from framework import ACQUIRE, EXTEND, RELEASE, TRY_ACQUIRE, ProtocolSpec, Sometimes, hookimpl
from plugins.protocols.redlock.client import RedlockClient
from plugins.protocols.redlock.config import RedlockConfig
from plugins.protocols.redlock.node import LockServer


def recovery_time(config: RedlockConfig) -> int:
    """Returns the time after which what a client has left behind is gone, and another one has tried again."""
    return config.lease + config.restart_delay + 2 * (config.retry_delay + config.server_timeout)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="redlock",
            summary="Locks with leases at a majority of independent servers (antirez, 2014). No fencing tokens.",
            node=LockServer,
            client=RedlockClient,
            config=RedlockConfig,
            operations=(ACQUIRE, TRY_ACQUIRE, RELEASE, EXTEND),
            checkers=("guarded_store", "lock_progress"),
            recovers=True,
            recovery_time=recovery_time,
            sometimes=(
                Sometimes("an attempt got no majority", "attempt_failed"),
                Sometimes("a majority answered too late", "too_late"),
                Sometimes("a key expired before it was deleted", "expired"),
            ),
        )
    ]
