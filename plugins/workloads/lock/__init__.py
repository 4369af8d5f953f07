"""Locks in use: clients acquire a lock, read and write the value that it guards, and release it."""

from __future__ import annotations

from framework import ACQUIRE, RELEASE, WorkloadSpec, hookimpl
from plugins.workloads.lock.config import LockConfig
from plugins.workloads.lock.guarded_store import Store
from plugins.workloads.lock.holder import HOLD, READ, WRITE, LockHolder
from plugins.workloads.lock.turns import LockWorkload, check_tokens


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [
        WorkloadSpec(
            name="lock",
            summary="Clients acquire locks, and access a store that the locks guard.",
            workload=LockWorkload,
            config=LockConfig,
            service=Store,
            client=LockHolder,
            operations=(READ, WRITE, HOLD),
            requires=(ACQUIRE, RELEASE),
            validate=check_tokens,
        )
    ]
