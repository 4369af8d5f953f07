"""Ricart and Agrawala's mutual exclusion with one mistake at a time. "RA" is their paper of 1981."""

from __future__ import annotations

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import LamportClock, LockReturn, NodeId, ProtocolSpec, handles, hookimpl
from plugins.protocols import ricart_agrawala
from plugins.protocols.ricart_agrawala.node import Contest, Reply, Request, RicartAgrawala


class ComparesTimesAlone(RicartAgrawala):
    """Of two requests with the same time neither goes first, whichever nodes they are from (RA, section 2)."""

    def goes_first(self, contest: Contest, request: Request) -> bool:
        return contest.requested is not None and contest.requested.time < request.timestamp.time


class DefersNothing(RicartAgrawala):
    """A node replies at once, though it is inside or has requested earlier (RA, section 2)."""

    def goes_first(self, contest: Contest, request: Request) -> bool:
        return False


class DefersWhileInsideOnly(RicartAgrawala):
    """A node that waits replies to every request, also to later ones (RA, section 2)."""

    def goes_first(self, contest: Contest, request: Request) -> bool:
        return contest.requested is not None and not contest.awaited


class IgnoresOtherClocks(RicartAgrawala):
    """A node counts its own requests only, whatever numbers others use (RA, section 2: highest sequence number)."""

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        contest = self.contest(request.key)
        time = contest.clock.time
        super().on_request(sender, request)
        contest.clock = LamportClock(self.id, time)


class EntersOneReplyShort(RicartAgrawala):
    """A node enters when one reply is still missing (RA, section 2)."""

    @handles(Reply)
    def on_reply(self, sender: NodeId, reply: Reply) -> None:
        contest = self.contest(reply.key)
        if reply.timestamp == contest.requested and len(contest.awaited) == 2 and sender in contest.awaited:
            contest.awaited.clear()
            self.enter(reply.key, contest)
        else:
            super().on_reply(sender, reply)


class ForgetsTheDeferred(RicartAgrawala):
    """A node that leaves replies to the first deferred request only (RA, section 2)."""

    @handles(LockReturn)
    def on_lock_return(self, sender: NodeId, returned: LockReturn) -> None:
        del self.contest(returned.key).deferred[1:]
        super().on_lock_return(sender, returned)


MUTANTS = (
    Mutant(ComparesTimesAlone),
    Mutant(DefersNothing),
    Mutant(DefersWhileInsideOnly),
    Mutant(IgnoresOtherClocks),
    Mutant(EntersOneReplyShort),
    Mutant(ForgetsTheDeferred),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = ricart_agrawala.register_protocols()
    return mutated(itself, MUTANTS)
