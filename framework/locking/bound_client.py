"""Clients of distributed mutual exclusion, where the nodes themselves compete for the lock.

Each client is bound to one node, its *process*, which competes on its behalf. A node queues its clients, and enters the
critical section for one of them at a time:

    c4 --LockRequest--> n1 --the protocol--> n1 enters --LockGrant--> c4 … c4 --LockReturn--> n1 leaves

A client that times out does not tell its process, which may be in the middle of the protocol. The grant that comes too
late is given back at once. Each request has a session of its own, so that nothing else of the same client is affected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from framework.core.client import Fail, Ok, Operation, OperationId
from framework.core.message import Message, NodeId, Record
from framework.core.node import handles
from framework.locking.requests import ACQUIRE, LockClient


class LockRequest(Message):
    """A client asks its process for a lock, in a session of its own."""

    session: int
    key: str


class LockGrant(Message):
    """A process has entered the critical section of a lock for a session, with this fencing token."""

    session: int
    key: str
    token: int


class LockReturn(Message):
    """A session gives a lock back."""

    session: int
    key: str


class Grant(Record):
    """A turn in the critical section: the client on whose behalf a node is inside, its session, and the token."""

    client: NodeId
    session: int
    token: int

    def message(self, key: str) -> LockGrant:
        """Returns what the client is sent."""
        return LockGrant(self.session, key, self.token)

    def is_returned_by(self, client: NodeId, returned: LockReturn) -> bool:
        """Returns whether a client gives this turn back, and not one that it has given back before."""
        return (self.client, self.session) == (client, returned.session)


@dataclass(slots=True)
class ClientQueue:
    """The clients of a node that wait for one lock, first in, first out, each with its session."""

    waiting: list[tuple[NodeId, int]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.waiting)

    def add(self, client: NodeId, session: int) -> None:
        self.waiting.append((client, session))

    def next(self, token: int) -> Grant:
        """Removes the first client, and returns its grant with this token."""
        return Grant(*self.waiting.pop(0), token)


def members_of(node: NodeId, peers: Sequence[NodeId]) -> tuple[NodeId, ...]:
    """Returns a node and its peers in the order of their names and numbers, which is the same at every node."""
    return tuple(sorted((node, *peers), key=lambda name: (len(name), name)))


class BoundClient(LockClient):
    """A client of a protocol of mutual exclusion. It is bound to a node by its number: with three nodes, c1 and c4 to
    n1.

    It offers `acquire` and `release`, without leases. A release is over when it has been sent.
    """

    def on_start(self) -> None:
        self.asked: tuple[OperationId, LockRequest] | None = None
        """The operation that waits for a lock, and its request."""
        self.held: dict[str, int] = {}
        """The session of each lock that this client holds."""

    @property
    def process(self) -> NodeId:
        """The node that this client is bound to."""
        number = int("".join(filter(str.isdigit, self.id)) or 1)
        return self.servers[(number - 1) % len(self.servers)]

    def awaited_nodes(self) -> tuple[NodeId, ...]:
        return () if self.asked is None else (self.process,)

    def invoke(self, operation: Operation) -> None:
        key, session = operation.key or "", operation.argument
        if not isinstance(session, int):
            self.complete(operation.id, Fail("the argument is not a session, a number"))
        elif operation.function == ACQUIRE:
            self.asked = (operation.id, LockRequest(session, key))
            self.send(self.process, self.asked[1])
        elif self.held.get(key) != session:
            self.complete(operation.id, Fail(f"the session does not hold {key}"))
        else:
            del self.held[key]
            self.send(self.process, LockReturn(session, key))
            self.complete(operation.id, Ok())

    @handles(LockGrant)
    def on_lock_grant(self, sender: NodeId, grant: LockGrant) -> None:
        if self.held.get(grant.key) == grant.session:
            return  # repeated by a process that has restarted
        request = LockRequest(grant.session, grant.key)
        if self.asked is None or self.asked[1] != request or self.current != self.asked[0]:
            self.note("gave_back", key=grant.key)  # the operation that asked has timed out
            self.send(sender, LockReturn(grant.session, grant.key))
            return
        operation, self.asked = self.asked[0], None
        self.held[grant.key] = grant.session
        self.complete(operation, Ok((grant.token, None)))
