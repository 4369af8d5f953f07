"""What clients and replicas say to one another: two rounds, each a request to all and an answer from each."""

from __future__ import annotations

from typing import TypeAlias

from framework import Message, OperationId, Record

Timestamp: TypeAlias = tuple[int, OperationId]
"""A counter, and the write that made it: no two writes share one."""

Value: TypeAlias = str | int | float | bool | None


class Version(Record):
    """A value of a register, and when it was written; the greater timestamp is the newer."""

    timestamp: Timestamp
    value: Value


UNWRITTEN = Version((0, 0), None)
"""What every register holds at first."""


class Query(Message):
    """Phase 1: asks which version of a register a replica holds."""

    operation: OperationId
    key: str


class Held(Message):
    """Answers Query."""

    operation: OperationId
    version: Version


class Propagate(Message):
    """Phase 2: asks a replica to hold this version, or a newer one."""

    operation: OperationId
    key: str
    version: Version


class Stored(Message):
    """Answers Propagate: this replica durably holds that version, or a newer one."""

    operation: OperationId
