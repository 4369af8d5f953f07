"""The messages between clients and the server. A request names the operation of its client, and so does its answer."""

from __future__ import annotations

from framework import Message, OperationId

SERVER = "server"
"""The role of the node that grants locks."""


class OpenSession(Message):
    """Opens a session."""

    operation: OperationId


class KeepAlive(Message):
    """Extends the lease of a session."""

    operation: OperationId
    session: int


class SessionOpen(Message):
    """The answer to OpenSession and KeepAlive: the session's lease has its full length, counted from the request."""

    operation: OperationId
    session: int
    lease: int


class CloseSession(Message):
    """Ends a session with all that it holds and waits for."""

    operation: OperationId
    session: int


class SessionEnded(Message):
    """The answer to CloseSession, and to KeepAlive in a session that has ended."""

    operation: OperationId
    session: int


class Acquire(Message):
    """Asks for a lock. `patience`: nanoseconds after which the request gives up; 0: at once; None: never."""

    operation: OperationId
    lock: str
    session: int
    shared: bool = False
    patience: int | None = None


class Release(Message):
    """Gives a lock back."""

    operation: OperationId
    lock: str
    session: int


class Answer(Message):
    """The outcome of Acquire, with the fencing token, or of Release; or why the request is refused."""

    operation: OperationId
    token: int = 0
    refused: str = ""


class Watch(Message):
    """Asks for the holders of a lock once they have changed after `revision`."""

    operation: OperationId
    lock: str
    revision: int


class Holders(Message):
    """The answer to Watch: the sessions that hold the lock, and the number of the change that made them so."""

    operation: OperationId
    revision: int
    sessions: tuple[int, ...]
