"""Heartbeats with one mistake at a time. "CTA" is Chen, Toueg and Aguilera (2002)."""

from __future__ import annotations

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import NodeId, ProtocolSpec, handles, hookimpl, on_timer
from plugins.protocols import heartbeat
from plugins.protocols.heartbeat.node import Heartbeat, HeartbeatDetector


class BelievesTheLatest(HeartbeatDetector):
    """A heartbeat that was overtaken, or is from before a restart, counts like a newer one (CTA, section 1)."""

    @handles(Heartbeat)
    def on_heartbeat(self, sender: NodeId, heartbeat: Heartbeat) -> None:
        self.latest[sender] = Heartbeat(0, 0)
        super().on_heartbeat(sender, heartbeat)


class ForgetsItsIncarnation(HeartbeatDetector):
    """A node that restarts begins again with its first incarnation (Synod: incarnations)."""

    def on_start(self) -> None:
        self.incarnation = 0
        super().on_start()


class TrustsTheUnheard(HeartbeatDetector):
    """A node from which no heartbeat has ever come is not suspected (Chandra and Toueg: completeness)."""

    @on_timer
    def expire(self, peer: NodeId) -> None:
        if self.latest[peer].number:
            super().expire(peer)


class NeverTrustsAgain(HeartbeatDetector):
    """A node that was suspected stays so, though its heartbeats arrive (Chandra and Toueg: eventual accuracy)."""

    def trust(self, node: NodeId, incarnation: int) -> None:
        pass


class StopsWhenItSuspects(HeartbeatDetector):
    """A node that suspects another one sends no more heartbeats (CTA, section 1)."""

    @on_timer
    def expire(self, peer: NodeId) -> None:
        super().expire(peer)
        self.cancel_timer(self.beat)


MUTANTS = (
    Mutant(BelievesTheLatest),
    Mutant(ForgetsItsIncarnation),
    Mutant(TrustsTheUnheard),
    Mutant(NeverTrustsAgain),
    Mutant(StopsWhenItSuspects),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = heartbeat.register_protocols()
    return mutated(itself, MUTANTS)
