"""Checkpoints: the log is cut below them, and who lags behind the cut is sent one (Paxos Made Live, §5.5).

The log is cut little by little, as slots are applied after a checkpoint. A follower that asks for slots that are gone gets the checkpoint's first part, and
asks for the next when it has one; what it has of a checkpoint it keeps in memory only, until it is whole.

The leader finishes the transfer that it began, and keeps the slots after that checkpoint until it is installed. If it began
anew with each newer checkpoint, a follower that comes back under load would never have a whole one. A transfer in which the
follower comes no further has failed, and binds nothing any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from framework import NodeId, durable, handles
from plugins.protocols.multipaxos.election import LEADER
from plugins.protocols.multipaxos.leader import Leader
from plugins.protocols.multipaxos.messages import Accepted, Ballot, Checkpoint, Fetch, Part, Value

NO_CHECKPOINT = Checkpoint(0, b"")


@dataclass
class Shipment:
    """A checkpoint on its way to a follower, which has asked for the part at `offset`, and at `progressed_at` for the first time."""

    checkpoint: Checkpoint
    progressed_at: int
    offset: int = 0


class Checkpoints(Leader):
    """Takes checkpoints, sends them, installs them."""

    checkpoint: Checkpoint = durable(NO_CHECKPOINT)

    def on_start(self) -> None:
        self.incoming = NO_CHECKPOINT  # what has come of one that the leader sends
        self.shipments: dict[NodeId, Shipment] = {}  # those that this leader sends
        self.taken_at = self.now  # when the latest checkpoint was taken
        super().on_start()

    def restore(self) -> None:
        if self.checkpoint.slot:
            self.machine.restore(self.checkpoint.state)
            self.chosen = self.checkpoint.slot
        super().restore()

    def promise(self, ballot: Ballot) -> None:
        super().promise(ballot)
        self.incoming = NO_CHECKPOINT

    def apply(self, upto: int) -> None:
        before = self.chosen
        super().apply(upto)
        self.trim(2 * (self.chosen - before))
        if self.config.checkpoint_every and self.chosen - self.checkpoint.slot >= self.config.checkpoint_every:
            self.take_checkpoint()

    def take_checkpoint(self) -> None:
        self.checkpoint = Checkpoint(self.chosen, self.machine.snapshot())
        self.learned = self.chosen
        # Failed: no progress since the checkpoint before this one, nor for as long as a live follower needs to ask again.
        since = min(self.taken_at, self.now - 2 * self.config.election_timeout_max)
        self.shipments = {to: shipment for to, shipment in self.shipments.items() if shipment.progressed_at >= since}
        self.taken_at = self.now

    def trim(self, most: int) -> None:
        """Cuts off what the checkpoint covers, `most` slots at a time: all at once would hold the node up."""
        end = self.checkpoint.slot - self.config.checkpoint_trailing
        if self.shipments:
            end = min(end, *(shipment.checkpoint.slot for shipment in self.shipments.values()))
        if self.compacted < end:
            self.compact(min(end, self.compacted + most))

    def compact(self, upto: int) -> None:
        self.accepted.compact(upto)
        self.close_gap()

    # The leader.

    def on_elected(self, values: list[Value]) -> None:
        self.shipments = {}
        super().on_elected(values)

    def on_deposed(self) -> None:
        super().on_deposed()
        self.shipments = {}

    def teach(self, follower: NodeId, first: int, last: int) -> None:
        if first > self.compacted:
            super().teach(follower, first, last)
        else:
            self.send_part(follower, self.shipment_to(follower), 0)

    @handles(Fetch)
    def on_fetch(self, sender: NodeId, fetch: Fetch) -> None:
        if self.role != LEADER or fetch.ballot != self.promised:
            return
        shipment = self.shipment_to(sender)
        self.send_part(sender, shipment, fetch.offset if fetch.slot == shipment.checkpoint.slot else 0)

    def shipment_to(self, follower: NodeId) -> Shipment:
        """The one that is under way, or else one of the latest checkpoint."""
        return self.shipments.setdefault(follower, Shipment(self.checkpoint, self.now))

    def send_part(self, follower: NodeId, shipment: Shipment, offset: int) -> None:
        if offset > shipment.offset:  # a follower that restarts, and asks from the start again, has come no further
            shipment.offset, shipment.progressed_at = offset, self.now
        slot, state = shipment.checkpoint.slot, shipment.checkpoint.state
        data = state[offset : offset + self.config.checkpoint_part]
        self.send(follower, Part(self.promised, slot, offset, len(state), data))

    @handles(Accepted)
    def on_accepted(self, sender: NodeId, accepted: Accepted) -> None:
        super().on_accepted(sender, accepted)
        shipment = self.shipments.get(sender)
        if shipment is not None and self.marks.get(sender, -1) >= shipment.checkpoint.slot:  # it is installed
            del self.shipments[sender]

    # The follower.

    def ask(self) -> None:
        if self.incoming.slot <= self.chosen:  # none is coming, or the log was there before it
            super().ask()
            return
        assert self.leader is not None
        self.asked, self.asked_at = self.mark + 1, self.now
        self.send(self.leader, Fetch(self.promised, self.incoming.slot, len(self.incoming.state)))

    @handles(Part)
    def on_part(self, sender: NodeId, part: Part) -> None:
        if sender != self.leader or part.ballot != self.promised or part.slot <= self.chosen:
            return  # from a leader that was, or asked for before a restart, or overtaken
        if part.offset == 0 and part.slot > self.incoming.slot:
            self.incoming = Checkpoint(part.slot, b"")
        if part.slot != self.incoming.slot or part.offset != len(self.incoming.state):  # of another, or had already
            return
        self.incoming = Checkpoint(part.slot, self.incoming.state + part.data)
        if len(self.incoming.state) == part.size:
            self.install(self.incoming)
        else:
            self.ask()

    def install(self, checkpoint: Checkpoint) -> None:
        self.note("installed_snapshot", slot=checkpoint.slot)
        self.incoming = NO_CHECKPOINT
        self.machine.restore(checkpoint.state)
        self.checkpoint = checkpoint
        self.chosen = self.learned = checkpoint.slot
        self.compact(checkpoint.slot)
        self.advance_mark()
        assert self.leader is not None
        self.send(self.leader, Accepted(self.promised, self.mark))
        if self.mark < self.proposed:
            self.ask()
