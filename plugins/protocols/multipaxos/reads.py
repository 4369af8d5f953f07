"""Reads without the log: by the leader's word, or by its lease (Paxos Made Live, §5.2).

`read_index`: the leader sends a heartbeat when a read has come. Once a quorum of phase 2 has answered, no higher ballot
had a quorum of phase 1 when the read came, so all that was chosen by then is known here.

`lease`: who answers a heartbeat promises nothing to others for `election_timeout_min`. Until that has passed since the
heartbeat was *sent*, less what clocks may drift, nobody else can lead, and the leader answers at once.

Either way it must know what earlier leaders had chosen: up to `found_last`, the end of what it found in phase 1.
"""

from __future__ import annotations

from collections import deque

from framework import Answer, NodeId, NotLeader, Query, handles, on_timer
from framework.core.client import OperationId
from plugins.protocols.multipaxos.election import LEADER
from plugins.protocols.multipaxos.leader import Leader
from plugins.protocols.multipaxos.messages import Value


class Reads(Leader):
    """Answers `Query` with `Answer`, or with `NotLeader` if it does not lead."""

    def on_start(self) -> None:
        self.lease_ends = self.now
        self.reads: deque[tuple[int, NodeId, OperationId, bytes]] = deque()  # the heartbeat that each waits for
        super().on_start()

    @handles(Query)
    def on_query(self, sender: NodeId, query: Query) -> None:
        if self.role != LEADER:
            self.send(sender, NotLeader(query.operation, 0, self.leader))
        elif self.config.read_mode == "lease" and self.now < self.lease_ends and self.knows_the_past():
            self.answer(sender, query.operation, query.body)
        else:
            self.reads.append((self.round + 1, sender, query.operation, query.body))
            self.set_timer(self.confirm_reads, after=0)

    @on_timer
    def confirm_reads(self) -> None:
        if self.role == LEADER:
            self.beat()

    def on_elected(self, values: list[Value]) -> None:
        self.lease_ends = self.now
        super().on_elected(values)

    def on_confirmed(self) -> None:
        self.lease_ends = self.sent_at[self.confirmed] + self.config.lease
        self.serve()

    def apply(self, upto: int) -> None:
        super().apply(upto)
        if self.reads:
            self.serve()

    def on_deposed(self) -> None:
        super().on_deposed()
        for _, client, operation, _ in self.reads:
            self.send(client, NotLeader(operation, 0, self.leader))
        self.reads.clear()

    def knows_the_past(self) -> bool:
        return self.chosen >= self.found_last

    def serve(self) -> None:
        """Answers the reads whose heartbeat a quorum has answered."""
        while self.reads and self.reads[0][0] <= self.confirmed and self.knows_the_past():
            _, client, operation, body = self.reads.popleft()
            self.answer(client, operation, body)

    def answer(self, client: NodeId, operation: OperationId, body: bytes) -> None:
        # It rests on what a quorum holds durably already.
        self.send(client, Answer(operation, self.machine.query(body)), before_commit=True)
