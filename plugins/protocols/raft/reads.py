"""Linearizable reads that go without the log (thesis 6.4).

A leader may have been deposed without knowing, so that its state machine is behind. Two things make a read safe:

- it leads at a moment after the read came: a majority answers a round of heartbeats that began later (`read_index`), or
  its lease lasts (`lease`, 6.4.1, which trusts clocks and costs no message);
- its state machine holds all that was committed by then. A new leader does not know how much that is before an entry of
  its own term commits, so a read waits for that one at the least.

One round answers all reads that wait for it. While it is under way, those that come gather for the next.
"""

from __future__ import annotations

from framework import Answer, NodeId, NotLeader, Query, handles, on_timer
from framework.core.client import OperationId
from framework.core.message import Record
from plugins.protocols.raft.election import LEADER
from plugins.protocols.raft.leases import Leasing


class Read(Record):
    """A read that waits until a majority has answered `round` and the log is applied up to `index`."""

    client: NodeId
    operation: OperationId
    body: bytes
    round: int
    index: int


class Reading(Leasing):
    """Answers `Query` with `Answer`, or with `NotLeader` if it does not lead."""

    def on_start(self) -> None:
        super().on_start()
        self.reads: list[Read] = []  # by round and index
        self.reading_round = 0  # the latest round that began for the sake of reads
        self.opened_at = 0  # the index of the entry that opened its term

    def on_elected(self) -> None:
        self.reading_round = 0
        super().on_elected()
        self.opened_at = self.log.last

    def on_deposed(self) -> None:
        super().on_deposed()
        for read in self.reads:
            self.send(read.client, NotLeader(read.operation, 0, None))
        self.reads = []

    @handles(Query)
    def on_query(self, sender: NodeId, query: Query) -> None:
        if self.role != LEADER:
            self.send(sender, NotLeader(query.operation, 0, self.leader))
            return
        read = Read(sender, query.operation, query.body, self.round + 1, self.read_index())
        if self.holds_lease() and read.index <= self.commit:
            self._answer(read)
            return
        self.reads.append(read)
        self._confirm_soon()

    def read_index(self) -> int:
        """Up to here a read that comes now must see the log: all that is committed, as far as anybody can know."""
        return max(self.commit, self.opened_at)

    @on_timer
    def confirm_reads(self) -> None:
        if self.role == LEADER:
            self.beat()
            self.reading_round = self.round

    def on_confirmed(self) -> None:
        super().on_confirmed()
        self._answer_ready()
        self._confirm_soon()

    def advance_commit(self) -> None:
        super().advance_commit()
        if self.reads:
            self._answer_ready()

    def _confirm_soon(self) -> None:
        """At the end of this batch a round begins for the reads that wait, unless one is under way."""
        if self.reads and self.reads[-1].round > self.round and self.reading_round <= self.confirmed:
            self.set_timer(self.confirm_reads, after=0)

    def _answer_ready(self) -> None:
        ready = 0
        for read in self.reads:
            if read.round > self.confirmed or read.index > self.commit:
                break
            self._answer(read)
            ready += 1
        del self.reads[:ready]

    def _answer(self, read: Read) -> None:
        # What is applied is durable at a majority, whatever becomes of this node's batch.
        self.send(read.client, Answer(read.operation, self.machine.query(read.body)), before_commit=True)
