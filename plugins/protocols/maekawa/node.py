"""Mutual exclusion by permissions from a quorum (Maekawa, *A √N Algorithm for Mutual Exclusion in Decentralized
Systems*, ACM TOCS 3(2), 1985), with the correction of Sanders (*The Information Structure of Distributed Mutual
Exclusion Algorithms*, ACM TOCS 5(3), 1987).

    requester: wants the lock --Request to its quorum--> waits --Locked from all of it--> inside --Release--> out
    arbiter:   free --Request--> locked for one request --Release, Relinquish--> locked for the earliest that waits

Any two quorums share a node, which is locked for one request at a time. Nodes that each have a part of what they need
would wait for one another for ever. So a locked arbiter that gets an earlier request inquires of the node that it is
locked for. That one relinquishes the permission if it knows that it cannot succeed yet, because an arbiter has told it
so.

In Maekawa's algorithm a node may never learn of that: its request is the first that waits at an arbiter, and then an
earlier request takes its place. Two such nodes can wait for one another. Here the displaced node receives Failed. So
every request that waits at an arbiter knows that it fails there, or is the first and the arbiter has inquired. A chain
of inquiries leads to later and later requests, and ends at one that is inside or relinquishes.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field

from framework import (
    ClientQueue,
    Grant,
    LamportClock,
    LockRequest,
    LockReturn,
    Node,
    NodeId,
    Status,
    Timestamp,
    handles,
    members_of,
)
from plugins.protocols.maekawa.messages import Failed, Inquire, Locked, Release, Relinquish, Request
from plugins.protocols.maekawa.quorums import quorum_of


@dataclass(slots=True)
class Candidacy:
    """A lock that a node wants on behalf of its clients."""

    clock: LamportClock
    clients: ClientQueue = field(default_factory=ClientQueue)
    requested: Timestamp | None = None
    """The node's own request, from when it is made until the node has left."""
    locked: dict[NodeId, int] = field(default_factory=dict)
    """The arbiters that have given their permission, with the tokens that they know."""
    failed: list[NodeId] = field(default_factory=list)
    """The arbiters at which the request cannot succeed yet."""
    inquired: list[NodeId] = field(default_factory=list)
    """The arbiters whose inquiry has not been answered."""


@dataclass(slots=True)
class Arbiter:
    """A lock that a node arbitrates."""

    locked_for: Timestamp | None = None
    inquires: bool = False
    """Whether it has inquired since it was locked for this request."""
    waiting: list[Timestamp] = field(default_factory=list)
    """The other requests, the earliest first."""
    token: int = 0
    """The highest fencing token that this arbiter knows of."""


class Maekawa(Node):
    """A node that competes for locks on behalf of its clients, and is an arbiter of others."""

    def on_start(self) -> None:
        self.quorum = self.choose_quorum()
        self.candidacies: dict[str, Candidacy] = {}
        self.arbiters: dict[str, Arbiter] = {}
        self.inside: dict[str, Grant] = {}

    @property
    def status(self) -> Status:
        return Status(roles=("inside",) if self.inside else ())

    def choose_quorum(self) -> tuple[NodeId, ...]:
        return quorum_of(self.id, members_of(self.id, self.peers))

    def candidacy(self, key: str) -> Candidacy:
        return self.candidacies.setdefault(key, Candidacy(LamportClock(self.id)))

    def arbiter(self, key: str) -> Arbiter:
        return self.arbiters.setdefault(key, Arbiter())

    # The requester.

    @handles(LockRequest)
    def on_lock_request(self, sender: NodeId, request: LockRequest) -> None:
        candidacy = self.candidacy(request.key)
        candidacy.clients.add(sender, request.session)
        if candidacy.requested is None:
            self.request(request.key, candidacy)

    def request(self, key: str, candidacy: Candidacy) -> None:
        """Asks the quorum for the lock."""
        candidacy.requested = candidacy.clock.tick()
        self.multicast(self.quorum, Request(key, candidacy.requested))

    @handles(Locked)
    def on_locked(self, sender: NodeId, locked: Locked) -> None:
        candidacy = self.candidacy(locked.key)
        if locked.timestamp != candidacy.requested or locked.key in self.inside:
            return  # a second copy: only a network that is not reliable delivers one
        candidacy.locked[sender] = locked.token
        if sender in candidacy.failed:
            candidacy.failed.remove(sender)
        if len(candidacy.locked) == len(self.quorum):
            self.enter(locked.key, candidacy)
        else:
            self.answer_inquiries(locked.key, candidacy)  # one may have come before

    @handles(Failed)
    def on_failed(self, sender: NodeId, failed: Failed) -> None:
        candidacy = self.candidacy(failed.key)
        if failed.timestamp != candidacy.requested or sender in candidacy.locked:
            return  # overtaken by what the same arbiter has sent later
        if sender not in candidacy.failed:
            candidacy.failed.append(sender)
        self.answer_inquiries(failed.key, candidacy)

    @handles(Inquire)
    def on_inquire(self, sender: NodeId, inquire: Inquire) -> None:
        candidacy = self.candidacy(inquire.key)
        if inquire.timestamp != candidacy.requested or inquire.key in self.inside:
            return  # this node has succeeded: its release is the answer
        if sender not in candidacy.inquired:
            candidacy.inquired.append(sender)
        self.answer_inquiries(inquire.key, candidacy)

    def answer_inquiries(self, key: str, candidacy: Candidacy) -> None:
        """Gives back the permissions that are inquired about, if the request cannot succeed yet."""
        for arbiter in list(candidacy.inquired):
            if candidacy.failed and arbiter in candidacy.locked and candidacy.requested is not None:
                del candidacy.locked[arbiter]
                candidacy.inquired.remove(arbiter)
                candidacy.failed.append(arbiter)
                self.note("relinquished", key=key)
                self.send(arbiter, Relinquish(key, candidacy.requested))

    def enter(self, key: str, candidacy: Candidacy) -> None:
        """Enters the critical section, and grants the lock to the first client."""
        candidacy.inquired.clear()
        grant = self.inside[key] = candidacy.clients.next(max(candidacy.locked.values()) + 1)
        self.send(grant.client, grant.message(key))

    @handles(LockReturn)
    def on_lock_return(self, sender: NodeId, returned: LockReturn) -> None:
        key = returned.key
        grant = self.inside.get(key)
        if grant is None or not grant.is_returned_by(sender, returned):
            return  # given back before
        candidacy = self.candidacy(key)
        assert candidacy.requested is not None
        self.multicast(self.quorum, Release(key, candidacy.requested, grant.token))
        del self.inside[key]
        candidacy.requested = None
        candidacy.locked.clear()
        candidacy.failed.clear()
        if candidacy.clients:
            self.request(key, candidacy)

    # The arbiter.

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        key, timestamp = request.key, request.timestamp
        self.candidacy(key).clock.observe(timestamp)
        arbiter = self.arbiter(key)
        if arbiter.locked_for is None:
            self.lock(key, arbiter, timestamp)
            return
        first = arbiter.waiting[0] if arbiter.waiting else None
        insort(arbiter.waiting, timestamp)
        if timestamp > arbiter.locked_for or (first is not None and timestamp > first):
            self.send(sender, Failed(key, timestamp))
            return
        if first is not None and first < arbiter.locked_for:
            self.displace(key, first)
        self.inquire(key, arbiter)

    def displace(self, key: str, first: Timestamp) -> None:
        """Tells a request that it is no longer the first of those that wait: Sanders's correction."""
        self.note("displaced", key=key)
        self.send(first.node, Failed(key, first))

    def lock(self, key: str, arbiter: Arbiter, timestamp: Timestamp) -> None:
        """Gives the permission to a request."""
        arbiter.locked_for, arbiter.inquires = timestamp, False
        self.send(timestamp.node, Locked(key, timestamp, arbiter.token))

    def inquire(self, key: str, arbiter: Arbiter) -> None:
        """Inquires of the node that has the permission, unless that has been done."""
        if not arbiter.inquires and arbiter.locked_for is not None:
            arbiter.inquires = True
            self.send(arbiter.locked_for.node, Inquire(key, arbiter.locked_for))

    @handles(Relinquish)
    def on_relinquish(self, sender: NodeId, relinquish: Relinquish) -> None:
        arbiter = self.arbiter(relinquish.key)
        if relinquish.timestamp == arbiter.locked_for:  # else a second copy
            insort(arbiter.waiting, relinquish.timestamp)
            self.lock(relinquish.key, arbiter, arbiter.waiting.pop(0))

    @handles(Release)
    def on_release(self, sender: NodeId, release: Release) -> None:
        arbiter = self.arbiter(release.key)
        arbiter.token = max(arbiter.token, release.token)
        if release.timestamp != arbiter.locked_for:
            return  # a second copy
        arbiter.locked_for, arbiter.inquires = None, False
        if arbiter.waiting:
            self.lock(release.key, arbiter, arbiter.waiting.pop(0))
