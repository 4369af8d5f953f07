"""The messages of SWIM. The names are the paper's: ping, ping-req and ack, each with news of members piggybacked."""

from __future__ import annotations

from typing import Literal, TypeAlias

from framework import Message, NodeId, Record

State: TypeAlias = Literal["alive", "suspect", "confirm"]
"""The state of a member in an update: Alive, Suspect, or Confirm (it is faulty)."""

RANK = {"alive": 0, "suspect": 1, "confirm": 2}


class Update(Record):
    """The state of a member in one of its incarnations (section 4.2)."""

    member: NodeId
    incarnation: int
    state: State

    def __str__(self) -> str:
        return f"{self.state} {self.member} in {self.incarnation}"

    def overrides(self, other: Update) -> bool:
        """Returns whether this says more than `other`, of the same member: it is of a later incarnation, or of the same
        one and graver."""
        return (self.incarnation, RANK[self.state]) > (other.incarnation, RANK[other.state])


class ProbeId(Record, order=True):
    """The number of a Ping: the sender's incarnation at its start, and a count. No Ping has that of another one."""

    life: int
    count: int


class Ping(Message):
    """Asks for an Ack."""

    id: ProbeId
    updates: tuple[Update, ...]


class PingReq(Message):
    """Asks the receiver to ping `target`, and to pass on its Ack under the number of the requester's own Ping."""

    id: ProbeId
    target: NodeId
    updates: tuple[Update, ...]


class Ack(Message):
    """Answers the Ping, or the PingReq, with this number."""

    id: ProbeId
    updates: tuple[Update, ...]
