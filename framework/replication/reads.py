"""Reads that bypass the log, and wait until they are safe (ReadIndex; Ongaro's thesis, 6.4).

A leader may answer a read from its state machine once two conditions hold: a quorum has answered a round of heartbeats
that began after the read arrived, so that the node still led then; and its state machine has applied everything
committed by then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec

from framework.core.client import OperationId
from framework.core.message import NodeId, Record


class PendingRead(Record):
    """A read that waits until a quorum has answered the heartbeats of `round`, and the log is applied up to `index`."""

    client: NodeId
    operation: OperationId
    body: bytes
    round: int
    index: int


@dataclass(slots=True)
class ReadQueue:
    """The waiting reads in order of arrival; their rounds and indexes never decrease."""

    waiting: deque[PendingRead] = field(default_factory=deque)
    round: int = 0
    """The latest round of heartbeats begun for reads."""

    asked: set[tuple[NodeId, OperationId]] = field(default_factory=set)
    """Client and operation of each waiting read."""

    def __len__(self) -> int:
        return len(self.waiting)

    def is_waiting(self, client: NodeId, operation: OperationId) -> bool:
        return (client, operation) in self.asked

    def add(self, read: PendingRead) -> None:
        self.asked.add((read.client, read.operation))
        self.waiting.append(read)

    def needs_round(self, latest: int, confirmed: int) -> bool:
        """Returns whether to begin a round: a read waits for one later than `latest`, and no round for reads is under
        way.

        So one round answers all reads that wait for it, and reads that arrive meanwhile share the next.
        """
        return bool(self.waiting) and self.waiting[-1].round > latest and self.round <= confirmed

    def wait_for(self, index: int) -> None:
        """Makes all waiting reads also wait for `index`: more may have been committed before they arrived."""
        self.waiting = deque(msgspec.structs.replace(read, index=max(read.index, index)) for read in self.waiting)

    def take_ready(self, confirmed: int, applied: int) -> list[PendingRead]:
        """Removes and returns the reads that are safe once round `confirmed` is answered, and `applied` is applied."""
        ready: list[PendingRead] = []
        waiting = self.waiting
        while waiting and waiting[0].round <= confirmed and waiting[0].index <= applied:
            read = waiting.popleft()
            self.asked.discard((read.client, read.operation))
            ready.append(read)
        return ready

    def take_all(self) -> list[PendingRead]:
        """Removes and returns all waiting reads."""
        taken = list(self.waiting)
        self.waiting.clear()
        self.asked.clear()
        return taken
