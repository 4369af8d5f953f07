"""The messages of SWIM. The names are the paper's: ping, ping-req and ack, each with news of members piggybacked."""

from __future__ import annotations

from typing import Literal, TypeAlias

from framework import Message, NodeId, Record

State: TypeAlias = Literal["alive", "suspect", "confirm"]
"""What is said of a member: Alive, Suspect, or Confirm (it is faulty)."""

RANK = {"alive": 0, "suspect": 1, "confirm": 2}


class Update(Record):
    """What is said of a member, in an incarnation of it (section 4.2)."""

    member: NodeId
    incarnation: int
    state: State

    def overrides(self, other: Update) -> bool:
        """Returns whether this says more than `other`, of the same member: it is of a later incarnation, or of the same
        one and graver."""
        return (self.incarnation, RANK[self.state]) > (other.incarnation, RANK[other.state])


class Ping(Message):
    """Asks for an Ack."""

    sequence: int
    updates: tuple[Update, ...]


class PingReq(Message):
    """Asks the receiver to ping `target`, and to pass on its Ack."""

    sequence: int
    target: NodeId
    updates: tuple[Update, ...]


class Ack(Message):
    """Answers the Ping, or the PingReq, with this number."""

    sequence: int
    updates: tuple[Update, ...]
