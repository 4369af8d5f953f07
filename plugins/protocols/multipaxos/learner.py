"""The learner: which slots are chosen, the state machine that they are applied to, and how gaps are found and filled.

What is chosen up to a slot the leader says with its next message. If an acceptor has accepted a slot in the leader's own
ballot, then what it has accepted is what was chosen. For what it has not, it asks the leader, which proposes the chosen
values to it once more: no other value could be proposed there.
"""

from __future__ import annotations

from framework import NodeId, Replica, ReplicatedMachine, Reply, durable
from framework.core.client import OperationId
from framework.core.message import Record
from plugins.protocols.multipaxos.acceptor import Acceptor
from plugins.protocols.multipaxos.messages import Ballot, Learn, Value


class Pending(Record):
    """A client that waits for its command, which this node proposed in `ballot` for the first time."""

    client: NodeId
    operation: OperationId
    sequence: int
    ballot: Ballot


class Learner(Acceptor):
    """Applies what is chosen, slot by slot."""

    learned: int = durable(0)
    """All up to here was chosen when something was last accepted: a restart goes on from there."""

    def on_start(self) -> None:
        super().on_start()
        assert self.config.state_machine is not None, "the config group state_machine gives one"
        self.machine = ReplicatedMachine(self.config.state_machine.build(), self.config.max_sessions)
        self.proposed = 0  # up to here the leader has proposed, as far as is known
        self.asked = 0  # the slot from which the leader was asked last, and when
        self.asked_at = 0
        self.waiting: dict[int, Pending] = {}  # slot -> whom to answer when applied
        self.under_way: set[tuple[OperationId, int]] = set()  # what clients wait for, by operation and sequence
        self.restore()
        self.advance_mark()

    @property
    def replica(self) -> Replica:
        return Replica(self.chosen, self.machine.snapshot)

    def restore(self) -> None:
        """Brings the state machine to where it is known to have been."""
        self.apply(self.learned)

    def promise(self, ballot: Ballot) -> None:
        super().promise(ballot)
        self.proposed = self.asked = 0

    def accept(self, slot: int, values: tuple[Value, ...]) -> None:
        super().accept(slot, values)
        self.learned = self.chosen

    def on_heard(self, chosen: int, last: int) -> None:
        self.proposed = max(self.proposed, chosen, last)
        if chosen > self.chosen:
            self.apply(min(chosen, self.mark))
        if self.mark < self.proposed and (self.asked <= self.mark or self.is_unanswered()):
            self.ask()

    def is_unanswered(self) -> bool:
        """Whether the leader was asked so long ago that the question, or its answer, must be lost."""
        return self.now - self.asked_at >= self.config.election_timeout_min

    def ask(self) -> None:
        """Asks the leader for the first slots that are missing."""
        assert self.leader is not None
        first = last = self.mark + 1
        most = min(self.proposed, self.mark + self.config.max_accept_slots)
        while last < most and not self.has_accepted(last + 1):
            last += 1
        self.asked, self.asked_at = first, self.now
        self.send(self.leader, Learn(self.promised, first, last))

    def apply(self, upto: int) -> None:
        """Applies the slots up to `upto`, which are chosen, in one go; answers who waits for them."""
        if upto <= self.chosen:
            return
        assert upto <= self.accepted.last, f"{self.id} lacks what is chosen for slot {upto}"
        waiting, execute = self.waiting, self.machine.apply
        for slot, proposal in enumerate(self.accepted.slice(self.chosen + 1, upto + 1), self.chosen + 1):
            command = proposal.value
            if command is None:
                continue
            applied = execute(slot, command)
            if waiting and slot in waiting:
                pending = waiting.pop(slot)
                self.under_way.discard((pending.operation, pending.sequence))
                # A quorum holds the value durably, whatever becomes of this node's batch.
                reply = Reply(pending.operation, pending.sequence, applied.result, applied.session)
                self.send(pending.client, reply, before_commit=True)
        self.chosen = upto
        self.mark = max(self.mark, upto)
