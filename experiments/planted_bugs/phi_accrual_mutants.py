"""The phi accrual failure detector with one mistake at a time. The sections are those of Hayashibara, Défago, Yared
and Katayama (2004)."""

from __future__ import annotations

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import NodeId, ProtocolSpec, handles, hookimpl, on_timer
from plugins.protocols import phi_accrual
from plugins.protocols.phi_accrual.node import Arrivals, Heartbeat, PhiAccrualDetector, elapsed_at


class UsesTheLastIntervalOnly(PhiAccrualDetector):
    """Mean and deviation are estimated from the last interval alone (section 4)."""

    def estimate(self, peer: NodeId) -> tuple[float, float]:
        return float(self.arrivals[peer].intervals[-1]), float(self.config.min_deviation)


class IgnoresTheDeviation(PhiAccrualDetector):
    """Intervals are taken for as regular as they can be (section 4)."""

    def estimate(self, peer: NodeId) -> tuple[float, float]:
        mean, _ = super().estimate(peer)
        return mean, float(self.config.min_deviation)


class CountsFromTheMean(PhiAccrualDetector):
    """The threshold is a number of deviations above the mean, not one of digits (section 4)."""

    def await_next(self, peer: NodeId) -> None:
        mean, deviation = self.estimate(peer)
        after = min(mean + self.config.threshold * deviation / 2, elapsed_at(self.config.threshold, mean, deviation))
        self.set_timer(self.expire, peer, after=round(after))


class BelievesTheLatest(PhiAccrualDetector):
    """A heartbeat that was overtaken, or is from before a restart, counts like a newer one (section 4)."""

    @handles(Heartbeat)
    def on_heartbeat(self, sender: NodeId, heartbeat: Heartbeat) -> None:
        self.arrivals[sender].latest = Heartbeat(0, 0)
        super().on_heartbeat(sender, heartbeat)


class AwaitsNobodyUnheard(PhiAccrualDetector):
    """There is no estimate before the first heartbeat, so that a node that sends none is trusted (Synod:
    first_interval)."""

    @on_timer
    def expire(self, peer: NodeId) -> None:
        arrivals: Arrivals = self.arrivals[peer]
        if arrivals.latest.number:
            super().expire(peer)


class NeverTrustsAgain(PhiAccrualDetector):
    """A node that was suspected stays so, though its heartbeats arrive (Chandra and Toueg: eventual accuracy)."""

    def trust(self, node: NodeId, incarnation: int) -> None:
        pass


MUTANTS = (
    Mutant(UsesTheLastIntervalOnly),
    Mutant(IgnoresTheDeviation),
    Mutant(CountsFromTheMean),
    Mutant(BelievesTheLatest),
    Mutant(AwaitsNobodyUnheard),
    Mutant(NeverTrustsAgain),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = phi_accrual.register_protocols()
    return mutated(itself, MUTANTS)
