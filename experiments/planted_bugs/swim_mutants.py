"""SWIM with one mistake at a time. The sections are those of Das, Gupta and Motivala (2002)."""

from __future__ import annotations

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import NodeId, ProtocolSpec, handles, hookimpl, on_timer
from plugins.protocols import swim
from plugins.protocols.swim.messages import Ack, PingReq, Update
from plugins.protocols.swim.node import Probe, Swim

# The failure detector.


class AsksNobody(Swim):
    """A member that does not answer is suspected without an indirect probe (section 3.1)."""

    @on_timer
    def ask_others(self) -> None:
        pass


class VouchesForTheTarget(Swim):
    """A member that is asked to ping another one answers without doing so (section 3.1)."""

    @handles(PingReq)
    def on_ping_req(self, sender: NodeId, request: PingReq) -> None:
        self.hear(request.updates)
        self.send(sender, Ack(request.id, self.piggybacked(sender)))


class CountsAnyAck(Swim):
    """An Ack counts for the present probe, whichever Ping it answers (section 3.1)."""

    @handles(Ack)
    def on_ack(self, sender: NodeId, ack: Ack) -> None:
        if self.current is not None:
            self.current.is_acknowledged = True
        super().on_ack(sender, ack)


class ConfirmsAtOnce(Swim):
    """A failed probe confirms a member faulty that has had no time to refute (section 4.2)."""

    def conclude_failed(self, probe: Probe) -> None:
        super().conclude_failed(probe)
        if self.members[probe.target].state == "suspect":
            self.confirm(probe.target)


# Suspicion and incarnations.


class ForgetsItsIncarnation(Swim):
    """A member that restarts begins again with its first incarnation (section 4.2)."""

    def on_start(self) -> None:
        self.incarnation = 0
        super().on_start()


class BelievesTheLatest(Swim):
    """What is heard last counts, whatever its incarnation (section 4.2)."""

    def learn(self, update: Update) -> None:
        if update.member in self.members:
            self.members[update.member] = Update(update.member, -1, "alive")
        super().learn(update)


class RevivesByStaleNews(Swim):
    """Alive overrides Suspect and Confirm in the same incarnation (section 4.2)."""

    def learn(self, update: Update) -> None:
        held = self.members.get(update.member)
        if held is not None and update.state == "alive" and update.incarnation == held.incarnation:
            self.members[update.member] = Update(update.member, held.incarnation - 1, held.state)
        super().learn(update)


class RaisesTheIncarnationOfOthers(Swim):
    """A member that suspects another one raises that one's incarnation (section 4.2)."""

    def conclude_failed(self, probe: Probe) -> None:
        held = self.members[probe.target]
        if held.state == "alive":
            self.learn(Update(held.member, held.incarnation + 1, "alive"))
        super().conclude_failed(probe)


class NeverRefutes(Swim):
    """A member that hears of a suspicion of itself keeps silent (section 4.2)."""

    def refute(self, update: Update) -> None:
        pass


class RefutesInTheSameIncarnation(Swim):
    """A member refutes without raising its incarnation (section 4.2)."""

    def refute(self, update: Update) -> None:
        self.spread(self.id)


class NeverConfirms(Swim):
    """A suspicion has no time-out (section 4.2)."""

    @on_timer
    def confirm(self, member: NodeId) -> None:
        pass


# Dissemination.


class RepeatsForEver(Swim):
    """An update is piggybacked without a limit (section 4.1)."""

    def count_sent(self, member: NodeId) -> None:
        self.sent[member] += 1


class SpreadsNothing(Swim):
    """Members keep what they learn to themselves (section 4.1)."""

    def piggybacked(self, to: NodeId) -> tuple[Update, ...]:
        return ()


class ForgetsTheFaulty(Swim):
    """A member that was declared faulty is never pinged again (Synod: groups whose members are given)."""

    @on_timer
    def reconnect(self) -> None:
        pass


SPLIT = ("faults.crash.every=0", "faults.outage.every=0", "faults.partition.kind=halves")
"""No restart announces a member after a partition."""

MUTANTS = (
    Mutant(AsksNobody),
    Mutant(VouchesForTheTarget),
    Mutant(CountsAnyAck),
    Mutant(ConfirmsAtOnce),
    Mutant(ForgetsItsIncarnation),
    Mutant(BelievesTheLatest),
    Mutant(RevivesByStaleNews),
    Mutant(RaisesTheIncarnationOfOthers),
    Mutant(NeverRefutes),
    Mutant(RefutesInTheSameIncarnation),
    Mutant(NeverConfirms),
    Mutant(RepeatsForEver),
    Mutant(SpreadsNothing),
    Mutant(ForgetsTheFaulty, needs=SPLIT),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = swim.register_protocols()
    return mutated(itself, MUTANTS)
