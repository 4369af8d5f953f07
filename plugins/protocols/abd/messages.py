"""The messages between clients and replicas: two rounds, each a request to all replicas and an answer from each."""

from __future__ import annotations

from typing import TypeAlias

from framework import Message, OperationId, Record

Timestamp: TypeAlias = tuple[int, OperationId]
"""A counter, and the operation id of the write that created it: no two writes share a timestamp."""

Value: TypeAlias = str | int | float | bool | None


class Version(Record):
    """A value of a register and its timestamp; the version with the greater timestamp is newer."""

    timestamp: Timestamp
    value: Value


UNWRITTEN = Version((0, 0), None)
"""The initial version of every register."""


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
