"""SWIM in one class (Das, Gupta and Motivala, *SWIM: Scalable Weakly-consistent Infection-style Process Group
Membership Protocol*, DSN 2002).

Once each period a member pings another one. If no Ack comes in time, it asks k others to ping that member too. If none
of them passes an Ack on before the period ends, it suspects the member. What members learn of one another travels on
these messages.

    alive  --failed probe-->  suspect  --time-out-->  faulty
      ^                          |                      |
      +------Alive in a later incarnation---------------+

A member that hears of a suspicion of itself refutes it with a higher incarnation. Parents receive the members that are
confirmed faulty; a suspect counts as alive (section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

from framework import Detector, DetectorStatus, NodeId, handles, on_timer
from plugins.protocols.swim.config import SwimConfig
from plugins.protocols.swim.messages import Ack, Ping, PingReq, ProbeId, Update


@dataclass(slots=True)
class Probe:
    """The probe of the present period."""

    target: NodeId
    id: ProbeId
    helpers: tuple[NodeId, ...] | None = None
    """The members that have been asked to ping the target; None: nobody yet."""
    is_acknowledged: bool = False


@dataclass(slots=True)
class Relay:
    """A Ping on behalf of another member, which waits for an Ack under its own number."""

    requester: NodeId
    id: ProbeId
    since: int


class SwimStatus(DetectorStatus):
    """Status of a member: also the number of members that are suspected and not confirmed faulty."""

    unconfirmed: int = 0


class Swim(Detector):
    """A member of the group."""

    config: SwimConfig

    def on_start(self) -> None:
        super().on_start()
        self.members = {peer: Update(peer, 0, "alive") for peer in self.peers}
        """The latest update of each other member."""
        self.sent: dict[NodeId, int] = {}
        """The members with news to spread, and the number of times that it has been piggybacked."""
        self.order: list[NodeId] = []
        """The members to probe in this round, the next one last."""
        self.current: Probe | None = None
        self.failed: Probe | None = None
        """The last probe that made this member suspect its target."""
        self.relays: dict[ProbeId, Relay] = {}
        self.last_ping = ProbeId(self.incarnation, 0)  # an Ack to an earlier life answers nothing
        self.spread(self.id)
        stagger = self.rng.randrange(self.config.period) if self.config.staggered else 0
        self.set_timer(self.begin_period, after=1 + stagger)
        self.set_timer(self.reconnect, after=self.config.reconnect)

    # The failure detector (section 3.1).

    @on_timer
    def begin_period(self) -> None:
        """Concludes the probe of the period that ends, and probes the next member."""
        if self.current is not None and not self.current.is_acknowledged:
            self.conclude_failed(self.current)
        for each in [each for each, relay in self.relays.items() if self.now - relay.since >= self.config.period]:
            del self.relays[each]
        self.current = None
        self.set_timer(self.begin_period, after=self.config.period)
        target = self.next_target()
        if target is not None:
            self.current = Probe(target, self.ping(target))
            self.set_timer(self.ask_others, after=self.config.ping_timeout)

    def next_target(self) -> NodeId | None:
        """Returns the next member in a list that is shuffled after each round (section 4.3), without faulty ones."""
        for _ in range(2):
            while self.order:
                target = self.order.pop()
                if target not in self.suspected:
                    return target
            self.order = [member for member in self.peers if member not in self.suspected]
            self.rng.shuffle(self.order)
        return None

    def ping(self, target: NodeId) -> ProbeId:
        """Sends a Ping, and returns its number."""
        self.last_ping = ProbeId(self.last_ping.life, self.last_ping.count + 1)
        self.send(target, Ping(self.last_ping, self.piggybacked(target)))
        return self.last_ping

    @on_timer
    def ask_others(self) -> None:
        probe = self.current
        if probe is None or probe.is_acknowledged:
            return
        others = [each for each in self.peers if each != probe.target and each not in self.suspected]
        probe.helpers = tuple(self.rng.sample(others, min(self.config.helpers, len(others))))
        for helper in probe.helpers:
            self.send(helper, PingReq(probe.id, probe.target, self.piggybacked(helper)))

    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: Ping) -> None:
        self.hear(ping.updates)
        self.send(sender, Ack(ping.id, self.piggybacked(sender)))

    @handles(PingReq)
    def on_ping_req(self, sender: NodeId, request: PingReq) -> None:
        self.hear(request.updates)
        self.relays[self.ping(request.target)] = Relay(sender, request.id, self.now)

    @handles(Ack)
    def on_ack(self, sender: NodeId, ack: Ack) -> None:
        self.hear(ack.updates)
        relay = self.relays.pop(ack.id, None)
        if relay is not None:
            self.send(relay.requester, Ack(relay.id, self.piggybacked(relay.requester)))
        probe = self.current
        if probe is None or probe.id != ack.id or probe.is_acknowledged:
            return  # an answer to an earlier probe, or a second one
        probe.is_acknowledged = True
        if sender != probe.target:
            self.note("indirect_ack", member=probe.target, helper=sender)

    def conclude_failed(self, probe: Probe) -> None:
        """Suspects a member that has not answered."""
        held = self.members[probe.target]
        if held.state == "alive":
            self.failed = probe
            self.note("failed_probe", member=held.member, incarnation=held.incarnation)
            self.learn(Update(held.member, held.incarnation, "suspect" if self.config.suspicion else "confirm"))

    # Suspicion (section 4.2).

    def hear(self, updates: tuple[Update, ...]) -> None:
        for update in updates:
            if update.member != self.id:
                self.learn(update)
            elif update.state != "alive":
                self.refute(update)

    def learn(self, update: Update) -> None:
        """Takes over an update that says more than what this member holds, and spreads it."""
        member, held = update.member, self.members.get(update.member)
        if held is None or not update.overrides(held):
            return
        self.members[member] = update
        self.spread(member)
        self.cancel_timer(self.confirm, member)
        if update.state == "suspect":
            self.set_timer(self.confirm, member, after=max(1, self.config.suspicion))
        if update.state == "confirm":
            self.suspect(member, update.incarnation)
        elif member in self.suspected:
            self.trust(member, update.incarnation)
            if member not in self.order:
                self.order.insert(self.rng.randint(0, len(self.order)), member)  # section 4.3: at a random position

    @on_timer
    def confirm(self, member: NodeId) -> None:
        """Confirms that a member is faulty that has not refuted in time."""
        self.note("confirmed", member=member, incarnation=self.members[member].incarnation)
        self.learn(Update(member, self.members[member].incarnation, "confirm"))

    def refute(self, update: Update) -> None:
        """Answers a suspicion of this member: with a higher incarnation, unless the present one is higher already."""
        if update.incarnation >= self.incarnation:
            self.note("refuted", incarnation=update.incarnation)
            if update.state == "confirm":
                self.note("mistake", node=self.id, incarnation=update.incarnation)
            self.incarnation = update.incarnation + 1
        self.spread(self.id)

    # Dissemination (section 4.1).

    def spread(self, member: NodeId) -> None:
        """Begins to piggyback what this member holds of `member`."""
        self.sent[member] = 0

    def piggybacked(self, to: NodeId) -> tuple[Update, ...]:
        """Returns the news for a message to `to`: what it has to refute, then the updates sent least often."""
        held = self.members.get(to)
        chosen = [] if held is None or held.state == "alive" else [to]
        for member in sorted(self.sent, key=self.sent.__getitem__):
            if len(chosen) == self.config.piggyback:
                break
            if member not in chosen:
                chosen.append(member)
                self.count_sent(member)
        return tuple(self.held_of(member) for member in chosen)

    def count_sent(self, member: NodeId) -> None:
        """Counts a transmission; after the last one the update is not piggybacked again."""
        self.sent[member] += 1
        if self.sent[member] >= transmission_limit(self.config.transmissions, 1 + len(self.peers)):
            del self.sent[member]

    def held_of(self, member: NodeId) -> Update:
        """Returns what this member holds of `member`, which may be itself."""
        return Update(member, self.incarnation, "alive") if member == self.id else self.members[member]

    @on_timer
    def reconnect(self) -> None:
        """Pings a member that is taken for faulty: it hears of that, and refutes if it runs."""
        self.set_timer(self.reconnect, after=self.config.reconnect)
        if self.suspected:
            self.ping(self.rng.choice(sorted(self.suspected)))

    # Observable state.

    def incarnation_of(self, peer: NodeId) -> int:
        return self.members[peer].incarnation

    @property
    def status(self) -> SwimStatus:
        unconfirmed = sum(held.state == "suspect" for held in self.members.values())
        return SwimStatus(incarnation=self.incarnation, suspects=len(self.suspected), unconfirmed=unconfirmed)


def transmission_limit(factor: float, members: int) -> int:
    """Returns lambda log(n), rounded up: how often a member piggybacks an update."""
    return max(1, ceil(factor * log(members)))
