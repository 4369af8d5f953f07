"""The learner: finds out what was chosen (Paxos Made Simple, section 2.3).

A value is chosen once a quorum has accepted it in one ballot. A learner counts votes, or is told by the proposer. What
it knows is not durable: whoever wants to know after a crash has a proposer run another ballot, which finds the same.
"""

from __future__ import annotations

from framework import NodeId, handles
from plugins.protocols.paxos.messages import Accepted, Ballot, Decided, Proposal
from plugins.protocols.paxos.roles import Role


class Learner(Role):
    """Counts votes."""

    def on_start(self) -> None:
        super().on_start()
        self.decided: dict[str, Proposal] = {}
        self.votes: dict[str, dict[Ballot, set[NodeId]]] = {}

    def on_learned(self, instance: str, chosen: Proposal) -> None:
        """Runs once for each instance, when this node learns what it decided."""

    @handles(Accepted)
    def on_accepted(self, sender: NodeId, accepted: Accepted) -> None:
        if accepted.instance in self.decided:  # one vote more than it took
            return
        voters = self.votes.setdefault(accepted.instance, {}).setdefault(accepted.ballot, set())
        voters.add(sender)
        if self.quorums.phase2.reached(voters):
            self.learn(accepted.instance, Proposal(accepted.ballot, accepted.value))

    @handles(Decided)
    def on_decided(self, sender: NodeId, decided: Decided) -> None:
        self.learn(decided.instance, Proposal(decided.ballot, decided.value))

    def learn(self, instance: str, chosen: Proposal) -> None:
        known = self.decided.get(instance)
        if known is not None:
            assert known.value == chosen.value, f"{instance} decided {known.value!r}, and then {chosen.value!r}"
            return
        self.decided[instance] = chosen
        self.votes.pop(instance, None)
        self.note("decided", instance=instance, ballot=str(chosen.ballot))
        self.on_learned(instance, chosen)
