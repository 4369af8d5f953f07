"""Maekawa's mutual exclusion with one mistake at a time."""

from __future__ import annotations

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import NodeId, ProtocolSpec, Timestamp, handles, hookimpl, members_of
from plugins.protocols import maekawa
from plugins.protocols.maekawa.messages import Failed, Inquire, Locked, Release, Relinquish, Request
from plugins.protocols.maekawa.node import Candidacy, Maekawa


class NeverYields(Maekawa):
    """A node keeps the permissions that it has until it has been inside (Maekawa: RELINQUISH)."""

    def answer_inquiries(self, key: str, candidacy: Candidacy) -> None:
        pass


class NeverInquires(Maekawa):
    """An arbiter lets an earlier request wait for a later one, whatever that one waits for (Maekawa: INQUIRE)."""

    @handles(Inquire)
    def on_inquire(self, sender: NodeId, inquire: Inquire) -> None:
        pass


class TellsNobodyThatItFails(Maekawa):
    """A node that cannot succeed yet does not learn of it (Maekawa: FAILED)."""

    @handles(Failed)
    def on_failed(self, sender: NodeId, failed: Failed) -> None:
        pass


class ForgetsTheDisplaced(Maekawa):
    """The first request that waits is not told when an earlier one comes before it: the algorithm of 1985 (Sanders)."""

    def displace(self, key: str, first: Timestamp) -> None:
        self.note("displaced", key=key)


class MissesQuorums(Maekawa):
    """The quorum of a node is the node and the two behind it (Maekawa: any two quorums share a node)."""

    def choose_quorum(self) -> tuple[NodeId, ...]:
        members = members_of(self.id, self.peers)
        at = members.index(self.id)
        return tuple((*members, *members)[at : at + 3])


class GrantsTwo(Maekawa):
    """An arbiter that is locked gives its permission to an earlier request as well (Maekawa: one permission)."""

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        super().on_request(sender, request)
        arbiter = self.arbiter(request.key)
        if arbiter.waiting and arbiter.waiting[0] == request.timestamp and arbiter.inquires:
            self.send(sender, Locked(request.key, request.timestamp, arbiter.token))


class YieldsInside(Maekawa):
    """A node that is inside gives a permission back when it is inquired about (Maekawa: INQUIRE)."""

    @handles(Inquire)
    def on_inquire(self, sender: NodeId, inquire: Inquire) -> None:
        if inquire.key in self.inside and self.candidacy(inquire.key).requested == inquire.timestamp:
            self.send(sender, Relinquish(inquire.key, inquire.timestamp))
        else:
            super().on_inquire(sender, inquire)


class EntersOnePermissionShort(Maekawa):
    """A node enters when one permission is still missing (Maekawa: the whole quorum)."""

    @handles(Locked)
    def on_locked(self, sender: NodeId, locked: Locked) -> None:
        super().on_locked(sender, locked)
        candidacy = self.candidacy(locked.key)
        if len(candidacy.locked) == len(self.quorum) - 1 and locked.key not in self.inside and candidacy.clients:
            self.enter(locked.key, candidacy)


class ForgetsTheRelinquished(Maekawa):
    """An arbiter forgets the request whose permission it has got back (Maekawa: RELINQUISH)."""

    @handles(Relinquish)
    def on_relinquish(self, sender: NodeId, relinquish: Relinquish) -> None:
        super().on_relinquish(sender, relinquish)
        waiting = self.arbiter(relinquish.key).waiting
        if relinquish.timestamp in waiting:
            waiting.remove(relinquish.timestamp)


class KeepsTheTokenToItself(Maekawa):
    """A release does not tell arbiters the token of the turn (fencing tokens)."""

    @handles(Release)
    def on_release(self, sender: NodeId, release: Release) -> None:
        known = self.arbiter(release.key).token
        own = release.token if sender == self.id else known
        super().on_release(sender, Release(release.key, release.timestamp, own))


MUTANTS = (
    Mutant(NeverYields),
    Mutant(NeverInquires),
    Mutant(TellsNobodyThatItFails),
    Mutant(ForgetsTheDisplaced),
    Mutant(MissesQuorums),
    Mutant(GrantsTwo),
    Mutant(YieldsInside),
    Mutant(EntersOnePermissionShort),
    Mutant(ForgetsTheRelinquished),
    Mutant(KeepsTheTokenToItself),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = maekawa.register_protocols()
    return mutated(itself, MUTANTS)
