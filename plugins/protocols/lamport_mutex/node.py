"""Mutual exclusion by a queue that every node keeps (Lamport, *Time, Clocks, and the Ordering of Events in a
Distributed System*, CACM 21(7), 1978).

    wants the lock --Request to all--> waits --first in its queue, all later heard--> inside --Release to all--> out

Every node has the requests of all, in the order of their timestamps, and enters when its own is first, and when it has
heard from every other node since: then no earlier request can still arrive, as channels are FIFO. The numbers of the
comments are those of the paper's rules. Each lock is an instance of its own, with its own clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from framework import (
    ClientQueue,
    Grant,
    LamportClock,
    LockRequest,
    LockReturn,
    Message,
    Node,
    NodeId,
    Status,
    Timestamp,
    handles,
    members_of,
)


class Request(Message):
    """The sender requests the lock: "T:P requests resource"."""

    key: str
    timestamp: Timestamp


class Acknowledge(Message):
    """The sender has the receiver's request in its queue. `timestamp` is later than that of the request."""

    key: str
    timestamp: Timestamp


class Release(Message):
    """The sender has left: "P releases resource"."""

    key: str
    timestamp: Timestamp


@dataclass(slots=True)
class Resource:
    """What a node knows of one lock."""

    clock: LamportClock
    clients: ClientQueue = field(default_factory=ClientQueue)
    queue: dict[NodeId, Timestamp] = field(default_factory=dict)
    """The requests of all nodes, this one's as well; a node has one at a time."""
    heard: dict[NodeId, Timestamp] = field(default_factory=dict)
    """The timestamp of the latest message from each other node."""

    def hear(self, sender: NodeId, timestamp: Timestamp) -> None:
        """Takes note of the timestamp of a message (IR2)."""
        self.clock.observe(timestamp)
        self.heard[sender] = timestamp


class LamportMutex(Node):
    """A node that competes for locks on behalf of its clients."""

    def on_start(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.inside: dict[str, Grant] = {}

    @property
    def status(self) -> Status:
        return Status(roles=("inside",) if self.inside else ())

    def resource(self, key: str) -> Resource:
        return self.resources.setdefault(key, Resource(LamportClock(self.id)))

    @handles(LockRequest)
    def on_lock_request(self, sender: NodeId, request: LockRequest) -> None:
        resource = self.resource(request.key)
        resource.clients.add(sender, request.session)
        if self.id not in resource.queue:
            self.request(request.key, resource)

    def request(self, key: str, resource: Resource) -> None:
        """Rule 1: sends a request to every other node, and puts it into the own queue."""
        timestamp = resource.queue[self.id] = resource.clock.tick()
        self.broadcast(Request(key, timestamp))
        self.enter_if_first(key, resource)

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        """Rule 2: puts the request into the queue, and acknowledges it."""
        resource = self.resource(request.key)
        resource.hear(sender, request.timestamp)
        resource.queue[sender] = request.timestamp
        self.send(sender, Acknowledge(request.key, resource.clock.tick()))
        self.enter_if_first(request.key, resource)

    @handles(Acknowledge)
    def on_acknowledge(self, sender: NodeId, acknowledge: Acknowledge) -> None:
        resource = self.resource(acknowledge.key)
        resource.hear(sender, acknowledge.timestamp)
        self.enter_if_first(acknowledge.key, resource)

    @handles(LockReturn)
    def on_lock_return(self, sender: NodeId, returned: LockReturn) -> None:
        """Rule 3: removes the own request from the queue, and sends a release to every other node."""
        grant = self.inside.get(returned.key)
        if grant is None or not grant.is_returned_by(sender, returned):
            return  # given back before
        resource = self.resource(returned.key)
        del self.inside[returned.key]
        del resource.queue[self.id]
        self.broadcast(Release(returned.key, resource.clock.tick()))
        if resource.clients:
            self.request(returned.key, resource)

    @handles(Release)
    def on_release(self, sender: NodeId, release: Release) -> None:
        """Rule 4: removes the sender's request from the queue."""
        resource = self.resource(release.key)
        resource.hear(sender, release.timestamp)
        resource.queue.pop(sender, None)
        self.enter_if_first(release.key, resource)

    def enter_if_first(self, key: str, resource: Resource) -> None:
        """Rule 5: grants the lock to the first client if the own request is before all others, and every other node has
        been heard from since."""
        own = resource.queue.get(self.id)
        if own is None or key in self.inside or own != min(resource.queue.values()):
            return
        if self.heard_since(own, resource):
            grant = self.inside[key] = resource.clients.next(own.number(members_of(self.id, self.peers)))
            self.send(grant.client, grant.message(key))

    def heard_since(self, own: Timestamp, resource: Resource) -> bool:
        """Returns whether each other node has sent a message with a later timestamp."""
        return all(peer in resource.heard and resource.heard[peer] > own for peer in self.peers)
