"""The messages between clients, dispatchers and servers. A request is known by the id of its operation."""

from __future__ import annotations

from framework import Message, NodeId, OperationId

DISPATCHER = "dispatcher"
SERVER = "server"


class Request(Message):
    """A client asks a dispatcher. `repeated`: it has asked before, this one or another."""

    operation: OperationId
    key: str | None
    repeated: bool


class Response(Message):
    """A dispatcher's answer to a client: who served the request, how long it had waited there for the server, in
    nanoseconds, and how many requests it had found there."""

    operation: OperationId
    server: NodeId
    waited: int
    found: int


class Refusal(Message):
    """A dispatcher's answer to a client whose request it has given up. `unsure`: a server may have served it, or may
    yet."""

    operation: OperationId
    unsure: bool


class Job(Message):
    """A dispatcher sends a request to a server: for the first time, or as a further attempt."""

    operation: OperationId
    key: str | None
    attempt: int


class LoadMessage(Message):
    """Base of what servers say: each message reports the load, the number of requests waiting and in service. Of two
    reports the later has the greater `stamp`, (incarnation, number)."""

    load: int
    stamp: tuple[int, int]


class Done(LoadMessage):
    """A server has served a request (see `Response`)."""

    operation: OperationId
    waited: int
    found: int


class Rejected(LoadMessage):
    """The queue of the server is full."""

    operation: OperationId
    attempt: int


class Load(LoadMessage):
    """A report in between."""


class Idle(LoadMessage):
    """The server has become idle: for one dispatcher, if its balancer wants to know."""
