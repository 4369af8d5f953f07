"""`transfer_leader`: the leader gives way to a node of the administrator's choice.

It proposes nothing new until the heir has accepted all that it proposed; then it ceases to lead, its lease with it, and
tells the heir to begin a ballot at once. The heir's Prepare says whose lease has ended, so that acceptors promise although
they have heard that leader just now. An heir that does not come along within an election time-out is given up.
"""

from __future__ import annotations

from framework import Administer, Administered, NodeId, NotLeader, handles, on_timer
from plugins.protocols.multipaxos.election import FOLLOWER, LEADER
from plugins.protocols.multipaxos.leader import Leader
from plugins.protocols.multipaxos.messages import Accepted, TakeOver

TRANSFER_LEADER = "transfer_leader"


class Transfer(Leader):
    """Answers `Administer` with `Administered` when the node leads: the one that has taken over does, when it is asked again."""

    def on_start(self) -> None:
        self.heir: NodeId | None = None
        super().on_start()

    @handles(Administer)
    def on_administer(self, sender: NodeId, request: Administer) -> None:
        if self.role != LEADER:
            self.send(sender, NotLeader(request.operation, 0, self.leader))
        elif request.node == self.id:
            self.send(sender, Administered(request.operation))
        elif request.node not in self.peers:
            self.send(sender, Administered(request.operation, f"{request.node} is no member"))
        elif self.heir is None:
            self.heir = request.node
            self.set_timer(self.give_up_heir, after=self.config.election_timeout_max)
            self.hand_over()

    def propose(self) -> None:
        if self.heir is None:
            super().propose()
        else:
            self.propose_due = False

    @handles(Accepted)
    def on_accepted(self, sender: NodeId, accepted: Accepted) -> None:
        super().on_accepted(sender, accepted)
        if self.heir is not None:
            self.hand_over()

    def hand_over(self) -> None:
        heir = self.heir
        if heir is not None and self.role == LEADER and self.marks.get(heir, -1) >= self.last:
            self.step_down(heir)
            self.send(heir, TakeOver(self.promised))

    @on_timer
    def give_up_heir(self) -> None:
        self.heir = None
        self.propose_soon()

    def on_deposed(self) -> None:
        super().on_deposed()
        self.heir = None
        self.cancel_timer(self.give_up_heir)

    @handles(TakeOver)
    def on_take_over(self, sender: NodeId, order: TakeOver) -> None:
        if order.ballot == self.promised and self.role == FOLLOWER:
            self.prepare(relieves=order.ballot)
