"""Messages of Maekawa's algorithm. Each of them concerns one lock and the request with one timestamp."""

from __future__ import annotations

from framework import Message, Timestamp


class Request(Message):
    """REQUEST: the sender wants the lock, and asks for the receiver's permission."""

    key: str
    timestamp: Timestamp


class Locked(Message):
    """LOCKED: the sender gives its permission. `token` is the highest fencing token that it knows."""

    key: str
    timestamp: Timestamp
    token: int


class Failed(Message):
    """FAILED: an earlier request has the sender's permission, or will have it before this one."""

    key: str
    timestamp: Timestamp


class Inquire(Message):
    """INQUIRE: can the receiver still succeed? An earlier request than this one asks for the permission that it has."""

    key: str
    timestamp: Timestamp


class Relinquish(Message):
    """RELINQUISH: the sender gives the permission back, and keeps its request."""

    key: str
    timestamp: Timestamp


class Release(Message):
    """RELEASE: the sender has left the critical section. `token` is that of its turn."""

    key: str
    timestamp: Timestamp
    token: int
