"""Leadership transfer (thesis 3.10): the leader brings a follower up to date and has it stand at once.

    leader                           target
      | transfer_leader(target) asked
      | takes no more requests
      | entries, a round of heartbeats ->
      |         <- it holds all that the leader holds
      | cedes its lease
      | TimeoutNow --------------------> stands, without PreVote
      |         <- RequestVote(transfer)  who hears the leader votes all the same
      | steps down

A request that comes meanwhile is refused as by a follower: it was not appended, so it can neither be lost nor be
executed twice. What was appended before is answered as ever. If the target does not lead within an election time-out the
leader goes on as if nothing had been asked, but for its lease: the target may yet receive its TimeoutNow.
"""

from __future__ import annotations

from framework import Administer, Administered, NodeId, NotLeader, Request, handles, on_timer
from framework.core.client import OperationId
from plugins.protocols.raft.administration import Administration
from plugins.protocols.raft.election import LEADER
from plugins.protocols.raft.leases import Leasing
from plugins.protocols.raft.messages import TimeoutNow


class Transferring(Administration, Leasing):
    """Hands its leadership to whom the administrator names."""

    def on_start(self) -> None:
        super().on_start()
        self.transferee: NodeId | None = None  # who is to lead next
        self.transfer_asked: tuple[NodeId, OperationId] | None = None  # by whom, and in which operation

    def administer(self, sender: NodeId, wish: Administer) -> None:
        if wish.function != "transfer_leader":
            super().administer(sender, wish)
        elif wish.node == self.id:
            self.send(sender, Administered(wish.operation))
        elif wish.node not in self.quorums.nodes:
            voters = ", ".join(sorted(self.quorums.nodes))
            self.send(sender, Administered(wish.operation, f"{wish.node} is none of {voters}"))
        else:
            self.transfer_asked = sender, wish.operation
            if wish.node != self.transferee:
                self.transferee = wish.node
                self.note("transfer_began", to=wish.node)
                self.set_timer(self.abort_transfer, after=self.election_timeout)
                self.beat()

    def on_answered(self, peer: NodeId, round: int) -> None:
        super().on_answered(peer, round)
        if self.role != LEADER or peer != self.transferee:
            return
        if self.match_index[peer] == self.log.last:
            self.cede_lease()
            self.send(peer, TimeoutNow(self.term))
        else:
            self.beat()

    @handles(TimeoutNow)
    def on_timeout_now(self, sender: NodeId, order: TimeoutNow) -> None:
        if order.term < self.term:  # it has taken over already, or somebody else has
            return
        if order.term > self.term:
            self.enter_term(order.term)
        self.stand(transfer=True)

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        sequence = request.command.sequence
        if self.transferee is not None and (request.operation, sequence) not in self.asked:
            self.send(sender, NotLeader(request.operation, sequence, None))
        else:
            super().on_request(sender, request)

    @on_timer
    def abort_transfer(self) -> None:
        self.note("transfer_aborted", to=self.transferee)
        self.transferee = self.transfer_asked = None

    def on_deposed(self) -> None:
        super().on_deposed()
        if self.transfer_asked is not None:
            asker, operation = self.transfer_asked
            self.send(asker, NotLeader(operation, 0, self.transferee))  # who answers once it leads
        self.transferee = self.transfer_asked = None
        self.cancel_timer(self.abort_transfer)
