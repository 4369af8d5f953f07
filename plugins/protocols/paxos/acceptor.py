"""The acceptor: promises and votes (Paxos Made Simple, section 2.2).

P1a: it accepts a proposal unless it has promised a higher ballot. What it has promised and accepted must survive a
crash (section 2.5), so both are durable, and the messages that tell of them leave after the commit.
"""

from __future__ import annotations

from framework import DurableMap, NodeId, Record, durable_map, handles
from plugins.protocols.paxos.messages import NO_BALLOT, Accept, Accepted, Ballot, Nack, Prepare, Promise, Proposal
from plugins.protocols.paxos.roles import Role


class Vow(Record):
    """What an acceptor is bound by in an instance: the highest ballot promised, the highest proposal accepted."""

    promised: Ballot = NO_BALLOT
    accepted: Proposal | None = None


UNBOUND = Vow()


class Acceptor(Role):
    """Votes."""

    vows: DurableMap[str, Vow] = durable_map(str, Vow)

    @handles(Prepare)
    def on_prepare(self, sender: NodeId, prepare: Prepare) -> None:
        instance, ballot = prepare.instance, prepare.ballot
        vow = self.vow(instance)
        if ballot < vow.promised:
            self.send(sender, Nack(instance, ballot, vow.promised))
            return
        self.vows[instance] = Vow(ballot, vow.accepted)
        self.send(sender, Promise(instance, ballot, vow.accepted))

    @handles(Accept)
    def on_accept(self, sender: NodeId, accept: Accept) -> None:
        instance, ballot, value = accept.instance, accept.ballot, accept.value
        vow = self.vow(instance)
        if ballot < vow.promised:
            self.send(sender, Nack(instance, ballot, vow.promised))
            return
        self.vows[instance] = Vow(ballot, Proposal(ballot, value))
        self.multicast(self.audience(ballot), Accepted(instance, ballot, value))

    def vow(self, instance: str) -> Vow:
        return self.vows.get(instance) or UNBOUND

    def audience(self, ballot: Ballot) -> tuple[NodeId, ...]:
        """Who hears of a vote: the ballot's proposer, and all learners unless it is the proposer who tells them."""
        if self.config.learning == "proposer":
            return (ballot.proposer,)
        return self.learners if ballot.proposer in self.learners else (*self.learners, ballot.proposer)
