"""What the nodes of Multi-Paxos say to one another, and what they keep.

| message | from, to | says | answered by |
| --- | --- | --- | --- |
| Prepare | candidate to all | phase 1a, for all slots from one on | Promise, Refused, or nothing |
| Promise | acceptor to candidate | phase 1b, with what was accepted there | |
| Accept | leader to all | phase 2a, for consecutive slots | Accepted or Refused |
| Heartbeat | leader to all | that it leads, and how far it has come | Accepted or Refused |
| Accepted | acceptor to leader | phase 2b, cumulative | |
| Refused | acceptor to proposer | that it promised a higher ballot, or that the candidate is too far behind | |
| Learn | follower to leader | the slots that it has missed | Accept, or the first Part |
| Part, Fetch | leader to follower, and back | a checkpoint, piece by piece | one another |
| TakeOver | leader to its heir | that it has ceased to lead | Prepare, to all |
"""

from __future__ import annotations

from typing import TypeAlias

from framework import Command, Message, NodeId, Record

Value: TypeAlias = Command | None
"""What a slot decides; None is a no-op, which fills a gap."""


class Ballot(Record, order=True):
    """A ballot's number: unique, because only `node` ever begins it."""

    round: int
    node: NodeId


NO_BALLOT = Ballot(0, "")


class Proposal(Record):
    """A value that was proposed in a ballot."""

    ballot: Ballot
    value: Value


class Pvalue(Record):
    """A proposal with its slot."""

    slot: int
    ballot: Ballot
    value: Value


class Prepare(Message):
    """Phase 1a for all slots from `slot` on, the first that the candidate does not know to be chosen.

    The leader of `relieves` has ceased to lead in the candidate's favour, so that its lease binds nobody.
    """

    ballot: Ballot
    slot: int
    relieves: Ballot = NO_BALLOT


class Promise(Message):
    """Phase 1b: what the acceptor has accepted from the slot of Prepare on.

    `following` is the slot from which to ask again, because all was too much for one message; 0 if this is the end.
    """

    ballot: Ballot
    accepted: tuple[Pvalue, ...]
    following: int = 0


class Accept(Message):
    """Phase 2a: `values` for the slots from `slot` on. All slots up to `chosen` are chosen."""

    ballot: Ballot
    slot: int
    values: tuple[Value, ...]
    chosen: int


class Heartbeat(Message):
    """The leader is there; it has proposed up to `last`. Its heartbeats are numbered by `round`."""

    ballot: Ballot
    round: int
    last: int
    chosen: int


class Accepted(Message):
    """Phase 2b: each slot up to `mark` is chosen, as the acceptor knows, or accepted by it in `ballot`, durably.

    `round` is that of the heartbeat that this answers.
    """

    ballot: Ballot
    mark: int
    round: int = 0


class Refused(Message):
    """The acceptor has promised `ballot`, which is higher.

    Or the candidate is too far `behind`: slots that it does not know are cut off there, and nothing could be told of them.
    """

    ballot: Ballot
    behind: bool = False


class Learn(Message):
    """The sender lacks the slots `first..last` in the leader's ballot."""

    ballot: Ballot
    first: int
    last: int


class Checkpoint(Record):
    """The replica's state once all slots up to `slot` are applied."""

    slot: int
    state: bytes


class Part(Message):
    """What stands at `offset` in the checkpoint of `slot`, which has `size` bytes."""

    ballot: Ballot
    slot: int
    offset: int
    size: int
    data: bytes


class Fetch(Message):
    """Asks for the part at `offset` of the checkpoint of `slot`."""

    ballot: Ballot
    slot: int
    offset: int


class TakeOver(Message):
    """The leader of `ballot` leads no more; the receiver may begin a ballot at once."""

    ballot: Ballot
