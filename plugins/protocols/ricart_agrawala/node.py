"""Mutual exclusion by permissions from all (Ricart and Agrawala, *An Optimal Algorithm for Mutual Exclusion in Computer
Networks*, CACM 24(1), 1981).

    wants the lock --Request to all--> waits --Reply from all--> inside --the deferred replies--> out

A node that receives a request replies at once, unless it is inside, or has requested earlier itself: then it defers the
reply until it has left. Each lock is an instance of its own, with its own clock.
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
    """REQUEST: the sender wants the lock, since this time."""

    key: str
    timestamp: Timestamp


class Reply(Message):
    """REPLY: the sender lets the request with this timestamp go first."""

    key: str
    timestamp: Timestamp


@dataclass(slots=True)
class Contest:
    """What a node knows of one lock."""

    clock: LamportClock
    clients: ClientQueue = field(default_factory=ClientQueue)
    requested: Timestamp | None = None
    """The node's own request, from when it is made until the node has left."""
    awaited: list[NodeId] = field(default_factory=list)
    """The nodes that have yet to reply."""
    deferred: list[tuple[NodeId, Timestamp]] = field(default_factory=list)
    """The requests that this node has yet to reply to."""


class RicartAgrawala(Node):
    """A node that competes for locks on behalf of its clients."""

    def on_start(self) -> None:
        self.contests: dict[str, Contest] = {}
        self.inside: dict[str, Grant] = {}

    @property
    def status(self) -> Status:
        return Status(roles=("inside",) if self.inside else ())

    def contest(self, key: str) -> Contest:
        return self.contests.setdefault(key, Contest(LamportClock(self.id)))

    # Enter.

    @handles(LockRequest)
    def on_lock_request(self, sender: NodeId, request: LockRequest) -> None:
        contest = self.contest(request.key)
        contest.clients.add(sender, request.session)
        if contest.requested is None:
            self.request(request.key, contest)

    def request(self, key: str, contest: Contest) -> None:
        """Asks all other nodes for the lock."""
        contest.requested = contest.clock.tick()
        contest.awaited = list(self.peers)
        self.broadcast(Request(key, contest.requested))
        if not contest.awaited:
            self.enter(key, contest)

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        contest = self.contest(request.key)
        contest.clock.observe(request.timestamp)
        if self.goes_first(contest, request):
            contest.deferred.append((sender, request.timestamp))
        else:
            self.send(sender, Reply(request.key, request.timestamp))

    def goes_first(self, contest: Contest, request: Request) -> bool:
        """Returns whether this node is inside, or will be before the sender of `request`."""
        return contest.requested is not None and contest.requested < request.timestamp

    @handles(Reply)
    def on_reply(self, sender: NodeId, reply: Reply) -> None:
        contest = self.contest(reply.key)
        if reply.timestamp != contest.requested or sender not in contest.awaited:
            return  # a second reply: only a network that is not reliable delivers one
        contest.awaited.remove(sender)
        if not contest.awaited:
            self.enter(reply.key, contest)

    def enter(self, key: str, contest: Contest) -> None:
        """Enters the critical section, and grants the lock to the first client."""
        assert contest.requested is not None
        grant = self.inside[key] = contest.clients.next(contest.requested.number(members_of(self.id, self.peers)))
        self.send(grant.client, grant.message(key))

    # Leave.

    @handles(LockReturn)
    def on_lock_return(self, sender: NodeId, returned: LockReturn) -> None:
        grant = self.inside.get(returned.key)
        if grant is None or not grant.is_returned_by(sender, returned):
            return  # given back before
        del self.inside[returned.key]
        contest = self.contest(returned.key)
        contest.requested = None
        deferred, contest.deferred = contest.deferred, []
        for node, timestamp in deferred:
            self.send(node, Reply(returned.key, timestamp))
        if contest.clients:
            self.request(returned.key, contest)
