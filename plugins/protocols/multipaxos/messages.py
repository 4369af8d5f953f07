"""What the nodes of Multi-Paxos say to one another, and what they keep.

| message | PMMC | from, to | says | answered by |
| --- | --- | --- | --- | --- |
| Prepare | p1a | candidate to all | asks for a promise, for all slots from one on | Promise, Preempted, TooFarBehind, or nothing |
| Promise | p1b | acceptor to candidate | promised; and what was accepted there | Prepare, if there is more |
| Accept | p2a | leader to all | proposes values for consecutive slots | Accepted or Preempted |
| Heartbeat | | leader to all | that it leads, and how far it has come | Accepted or Preempted |
| Accepted | p2b | acceptor to leader | accepted, up to a slot | |
| Preempted | p1b, p2b | acceptor to candidate or leader | that it has promised a higher ballot | |
| TooFarBehind | | acceptor to candidate | that slots which the candidate does not know are cut off | |
| Learn | | follower to leader | the slots that it has missed | Accept, or the first Part |
| Part, Fetch | | leader to follower, and back | a checkpoint, part by part | one another |
| TakeOver | | leader to its successor | that it has ceased to lead | Prepare, to all |

PMMC is van Renesse and Altinbuken, *Paxos Made Moderately Complex*, ACM Computing Surveys 2015.
"""

from __future__ import annotations

from typing import TypeAlias

from framework import NO_BALLOT, Ballot, Command, Message, Record

Value: TypeAlias = Command | None
"""What a slot decides; None is a no-op, which fills a gap."""


class Proposal(Record):
    """A value that was proposed in a ballot."""

    ballot: Ballot
    value: Value


class Pvalue(Record):
    """A proposal with its slot (PMMC: a pvalue)."""

    slot: int
    ballot: Ballot
    value: Value


class Checkpoint(Record):
    """The state of a replica that has applied all slots up to `slot`."""

    slot: int
    state: bytes


NO_CHECKPOINT = Checkpoint(0, b"")


class Prepare(Message):
    """Phase 1a for all slots from `slot` on, the first that the candidate does not know to be chosen.

    `released`: the ballot whose leader has ceased to lead in the candidate's favour, so that its lease binds nobody.
    """

    ballot: Ballot
    slot: int
    released: Ballot = NO_BALLOT


class Promise(Message):
    """Phase 1b: what the acceptor has accepted from the slot of Prepare on.

    `following`: the slot from which to ask for the rest, which did not fit; 0: this is all.
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
    """The leader is alive, and has proposed up to `last`. All slots up to `chosen` are chosen.

    `round` numbers its heartbeats.
    """

    ballot: Ballot
    round: int
    last: int
    chosen: int


class Accepted(Message):
    """Phase 2b: each slot up to `mark` is chosen, as the acceptor knows, or accepted by it in `ballot`, durably.

    `round`: that of the heartbeat that this answers; 0: it answers none.
    """

    ballot: Ballot
    mark: int
    round: int = 0


class Preempted(Message):
    """Refuses Prepare, Accept or Heartbeat: the acceptor has promised `ballot`, which is higher (PMMC: preempted)."""

    ballot: Ballot


class TooFarBehind(Message):
    """Refuses Prepare of `ballot`: the acceptor has cut off slots that the candidate does not know to be chosen.

    It could report nothing of what was chosen there, and so promises nothing.
    """

    ballot: Ballot


class Learn(Message):
    """The sender lacks the slots `first..last` in the leader's ballot."""

    ballot: Ballot
    first: int
    last: int


class Part(Message):
    """The bytes at `offset` of the checkpoint of `slot`, which has `size` bytes."""

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
    """The leader of `ballot` has ceased to lead: the receiver may begin a ballot at once."""

    ballot: Ballot
