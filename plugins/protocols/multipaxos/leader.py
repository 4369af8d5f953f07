"""Phase 2: a stable leader proposes slot after slot, many at once (Paxos Made Simple, §3; Paxos Made Moderately Complex).

Requests wait in a queue; `propose` runs once at the end of their batch, gives them the next slots as far as the window
allows, and sends them all in one Accept, without waiting for the slots before. Accept leaves before the leader's own
write is durable, for it promises nothing of the leader's own. The leader's own acceptance is a message to itself, which
leaves after the commit.

Nothing is sent twice by the leader's own doing: heartbeats tell how far it has come, and who lacks something asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from framework import NodeId, NotLeader, Request, handles, on_timer
from framework.core.client import OperationId
from plugins.protocols.multipaxos.acceptor import size_of
from plugins.protocols.multipaxos.election import LEADER, Election
from plugins.protocols.multipaxos.learner import Pending
from plugins.protocols.multipaxos.messages import Accept, Accepted, Heartbeat, Learn, Value


class Leader(Election):
    """Phase 2a: answers `Request` with `Reply`, or with `NotLeader` if it does not lead."""

    def on_start(self) -> None:
        self.queue: deque[tuple[Value, NodeId, OperationId]] = deque()  # not yet proposed; no client: found in phase 1
        self.last = 0  # the last slot that it has proposed in its ballot
        self.found_last = 0  # the last slot that an earlier leader may have had chosen
        self.marks: dict[NodeId, int] = {}
        self.answered: dict[NodeId, int] = {}  # when each acceptor last said anything
        self.rounds: dict[NodeId, int] = {}  # the last heartbeat that each answered
        self.sent_at: dict[int, int] = {}  # heartbeat -> when it was sent; none before `confirmed`
        self.round = self.confirmed = 0  # the last heartbeat, and the last that a quorum has answered
        self.audience: tuple[NodeId, ...] = ()  # who is sent values
        self.propose_due = False
        super().on_start()

    @property
    def status(self) -> dict[str, str | int | bool | None]:
        return {
            "role": self.role,
            "ballot": f"{self.promised.round}.{self.promised.node}",
            "leader": self.leader,
            "chosen": self.chosen,
            "last": max(self.mark, self.chosen),
        }

    def on_elected(self, values: list[Value]) -> None:
        self.last = self.chosen
        self.found_last = self.chosen + len(values)
        self.marks, self.rounds = {}, {}
        self.answered = dict.fromkeys(self.peers, self.now)
        self.confirmed = self.round
        self.keep_clients()
        self.queue.extendleft((value, "", 0) for value in reversed(values))
        self.heartbeat()
        self.propose_soon()

    def keep_clients(self) -> None:
        """After a ballot was raised: a client waits on if its command is what is proposed for its slot again.

        It is if phase 1 found this node's own proposal of the ballot in which the command was first proposed, or of a later
        one: this node has led each of those and has proposed the same value again. In an earlier ballot, before it stepped down
        in between, it may have proposed the command of another client there.
        """
        self.waiting = {slot: pending for slot, pending in self.waiting.items() if self.is_found(slot, pending)}
        self.queue = deque(item for item in self.queue if item[1])
        self.under_way = {(pending.operation, pending.sequence) for pending in self.waiting.values()}
        self.under_way |= {(operation, value.sequence) for value, _, operation in self.queue if value is not None}

    def is_found(self, slot: int, pending: Pending) -> bool:
        """Whether what phase 1 found for the slot is the command of `pending`."""
        found = self.found.get(slot)
        return found is not None and found.ballot.node == self.id and found.ballot >= pending.ballot

    def on_deposed(self) -> None:
        # What was proposed may yet be chosen under another leader, so NotLeader would be a lie. The client asks again
        # under the same sequence number, and the session table tells whether it was executed.
        for value, client, operation in self.queue:
            if value is not None and client:
                self.send(client, NotLeader(operation, value.sequence, self.leader))
        self.queue.clear()
        self.waiting.clear()
        self.under_way.clear()
        self.cancel_timer(self.heartbeat)

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        command = request.command
        if self.role != LEADER:
            self.send(sender, NotLeader(request.operation, command.sequence, self.leader))
            return
        key = (request.operation, command.sequence)
        if key in self.under_way:  # a retry, while the first attempt is under way
            return
        self.under_way.add(key)
        self.queue.append((command, sender, request.operation))
        self.propose_soon()

    def propose_soon(self) -> None:
        if not self.propose_due:
            self.propose_due = True
            self.set_timer(self.propose, after=0)

    @on_timer
    def propose(self) -> None:
        self.propose_due = False
        if self.role != LEADER:  # deposed within this batch
            return
        values = self.take(self.chosen + self.config.window - self.last)
        if not values:
            return
        start = self.last + 1
        self.last += len(values)
        self.accept(start, values)
        for slot, chunk in self.chunks(start, values):
            accept = Accept(self.promised, slot, chunk, self.chosen)
            self.multicast(self.audience, accept, before_commit=True)
        self.send(self.id, Accepted(self.promised, self.last))

    def take(self, most: int) -> tuple[Value, ...]:
        """The first of the queue, which get the next slots."""
        values: list[Value] = []
        for slot in range(self.last + 1, self.last + 1 + min(most, len(self.queue))):
            value, client, operation = self.queue.popleft()
            if value is not None and client:
                self.waiting[slot] = Pending(client, operation, value.sequence, self.promised)
            values.append(value)
        return tuple(values)

    def chunks(self, slot: int, values: tuple[Value, ...]) -> Iterator[tuple[int, tuple[Value, ...]]]:
        """`values` in pieces that fit an Accept, each with its first slot."""
        while values:
            count = self.fitting(values)
            yield slot, values[:count]
            slot, values = slot + count, values[count:]

    def fitting(self, values: tuple[Value, ...]) -> int:
        """How many of `values` fit an Accept; one always does."""
        size = 0
        for count, value in enumerate(values[: self.config.max_accept_slots]):
            size += size_of(value)
            if count and size > self.config.max_accept_bytes:
                return count
        return min(len(values), self.config.max_accept_slots)

    @handles(Accepted)
    def on_accepted(self, sender: NodeId, accepted: Accepted) -> None:
        if self.role != LEADER or accepted.ballot != self.promised:  # an answer to a leader that was
            return
        self.answered[sender] = self.now
        if accepted.mark > self.marks.get(sender, -1):
            self.marks[sender] = accepted.mark
            if accepted.mark > self.chosen:
                self.choose()
        if accepted.round > self.rounds.get(sender, 0):
            self.rounds[sender] = accepted.round
            self.confirm()

    def choose(self) -> None:
        """What a quorum has accepted in this ballot, slot by slot, is chosen."""
        held = min(
            self.quorums.phase2.held(self.marks), self.last
        )  # others may know more to be chosen than it has proposed
        if held > self.chosen:
            self.apply(held)
            if self.queue:
                self.propose_soon()

    @on_timer
    def heartbeat(self) -> None:
        if self.role != LEADER:  # its ballot is being raised
            return
        if (
            self.now - self.heard > self.config.election_timeout_max
        ):  # its acceptors are bound by it, and it cannot lead
            self.step_down()
            return
        self.set_timer(self.heartbeat, after=self.config.heartbeat_interval)
        self.audience = self.choose_audience()
        self.beat()

    def beat(self) -> None:
        self.round += 1
        self.sent_at[self.round] = self.now
        self.broadcast(Heartbeat(self.promised, self.round, self.last, self.chosen), before_commit=True)
        self.rounds[self.id] = self.round
        self.confirm()

    def confirm(self) -> None:
        """A quorum has answered a heartbeat: when it was sent, no higher ballot could have chosen anything."""
        confirmed = self.quorums.phase2.held(self.rounds)
        if confirmed > self.confirmed:
            self.confirmed, self.heard = confirmed, self.sent_at[confirmed]
            self.sent_at = {round: at for round, at in self.sent_at.items() if round >= confirmed}
            self.on_confirmed()

    def on_confirmed(self) -> None:
        """Runs when a quorum has answered one more heartbeat."""

    def choose_audience(self) -> tuple[NodeId, ...]:
        """Those who have answered of late; if thrifty, a smallest quorum of them."""
        since = self.now - self.config.election_timeout_max
        prompt = tuple(peer for peer in self.peers if self.answered[peer] >= since)
        if not self.config.thrifty:
            return prompt
        quorum = tuple(node for node in self.quorums.phase2.smallest(self.id) if node != self.id)
        return quorum if set(quorum) <= set(prompt) else prompt

    @handles(Learn)
    def on_learn(self, sender: NodeId, learn: Learn) -> None:
        if self.role != LEADER or learn.ballot != self.promised:
            return
        self.teach(sender, learn.first, min(learn.last, self.last))

    def teach(self, follower: NodeId, first: int, last: int) -> None:
        """Proposes what stands in these slots to `follower` alone; what is chosen there can be nothing else."""
        last = min(last, first + self.config.max_accept_slots - 1)
        values = tuple(proposal.value for proposal in self.accepted.slice(first, last + 1))
        accept = Accept(self.promised, first, values[: self.fitting(values)], self.chosen)
        self.send(follower, accept, before_commit=True)
