"""Logical clocks (Lamport, *Time, Clocks, and the Ordering of Events in a Distributed System*, CACM 21(7), 1978)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from framework.core.message import NodeId, Record


class Timestamp(Record, order=True):
    """The time of an event on the logical clock of a node, printed as `3.n2`. Timestamps compare by time, then by
    node."""

    time: int
    node: NodeId

    def __str__(self) -> str:
        return f"{self.time}.{self.node}"

    def number(self, members: Collection[NodeId]) -> int:
        """Returns the timestamp as an integer. Those of the same `members` have the order of the timestamps."""
        return self.time * len(members) + sorted(members).index(self.node)


@dataclass(slots=True)
class LamportClock:
    """The logical clock of a node. A timestamp is above all that the clock has shown or observed before."""

    node: NodeId
    time: int = 0

    def tick(self) -> Timestamp:
        """Advances the clock, and returns the new time."""
        self.time += 1
        return Timestamp(self.time, self.node)

    def observe(self, timestamp: Timestamp) -> None:
        """Sets the clock to the time of a received timestamp if it is behind."""
        self.time = max(self.time, timestamp.time)
