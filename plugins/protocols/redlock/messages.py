"""The messages between clients and lock servers: three commands of Redis, and their answers.

`value` is the random value of one attempt to acquire a lock: no two attempts share one, so it identifies the attempt.
"""

from __future__ import annotations

from framework import Message, OperationId


class SetIfAbsent(Message):
    """`SET key value NX PX ttl`: sets the key unless it is set, to expire after `ttl` nanoseconds."""

    key: str
    value: str
    ttl: int


class SetReply(Message):
    """Whether the key was set to this value."""

    value: str
    granted: bool


class ExpireIfEqual(Message):
    """A script: if the key has this value, it expires `ttl` nanoseconds from now."""

    operation: OperationId
    key: str
    value: str
    ttl: int


class ExpireReply(Message):
    """Whether the key had the value."""

    operation: OperationId
    extended: bool


class DeleteIfEqual(Message):
    """A script: if the key has this value, it is deleted."""

    operation: OperationId
    key: str
    value: str


class DeleteReply(Message):
    """Whether the key had the value."""

    operation: OperationId
    deleted: bool
