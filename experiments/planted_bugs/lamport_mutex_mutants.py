"""Lamport's mutual exclusion with one mistake at a time. The rules are those of his paper of 1978."""

from __future__ import annotations

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import NodeId, ProtocolSpec, Timestamp, handles, hookimpl
from plugins.protocols import lamport_mutex
from plugins.protocols.lamport_mutex.node import LamportMutex, Release, Request, Resource


class EntersOneAcknowledgementShort(LamportMutex):
    """A node enters when it has yet to hear from one other node (rule 5, ii)."""

    def heard_since(self, own: Timestamp, resource: Resource) -> bool:
        later = [peer for peer in self.peers if peer in resource.heard and resource.heard[peer] > own]
        return len(later) >= len(self.peers) - 1


class CountsEarlierMessages(LamportMutex):
    """Any message from a node counts, also one that it sent before the request (rule 5, ii)."""

    def heard_since(self, own: Timestamp, resource: Resource) -> bool:
        return all(peer in resource.heard for peer in self.peers)


class ForgetsTheTimeItAcknowledged(LamportMutex):
    """A node acknowledges with a later time, and goes on with a clock that has not observed the request (IR2)."""

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        clock = self.resource(request.key).clock
        time = clock.time
        super().on_request(sender, request)
        clock.time = time


class ComparesTimesAlone(LamportMutex):
    """A request with the same time as another one's is before it, whichever nodes they are from (the total order)."""

    def enter_if_first(self, key: str, resource: Resource) -> None:
        own, queue = resource.queue.get(self.id), dict(resource.queue)
        if own is not None:
            others = {node: each for node, each in queue.items() if node == self.id or each.time != own.time}
            resource.queue = others
        super().enter_if_first(key, resource)
        resource.queue = queue


class AcknowledgesWithoutQueueing(LamportMutex):
    """A node that waits itself acknowledges a request, and does not put it into its queue (rule 2)."""

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        resource = self.resource(request.key)
        waits = self.id in resource.queue
        super().on_request(sender, request)
        if waits:
            resource.queue.pop(sender)
            self.enter_if_first(request.key, resource)


class KeepsReleasedRequests(LamportMutex):
    """A release that comes while the node waits itself removes nothing (rule 4)."""

    @handles(Release)
    def on_release(self, sender: NodeId, release: Release) -> None:
        resource = self.resource(release.key)
        if self.id in resource.queue:
            resource.hear(sender, release.timestamp)
        else:
            super().on_release(sender, release)


MUTANTS = (
    Mutant(EntersOneAcknowledgementShort),
    Mutant(CountsEarlierMessages),
    Mutant(ForgetsTheTimeItAcknowledged),
    Mutant(ComparesTimesAlone),
    Mutant(AcknowledgesWithoutQueueing),
    Mutant(KeepsReleasedRequests),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = lamport_mutex.register_protocols()
    return mutated(itself, MUTANTS)
