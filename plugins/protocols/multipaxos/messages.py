"""The messages and stored records of Multi-Paxos.

| message | PMMC | from, to | content | answered by |
| --- | --- | --- | --- | --- |
| Prepare | p1a | candidate to all | request for a promise, from a slot on | Promise, Preempted, TooFarBehind, nothing |
| Promise | p1b | acceptor to candidate | the promise, and the proposals accepted there | Prepare, if there is more |
| Accept | p2a | leader to all | values for consecutive slots | Accepted or Preempted |
| Heartbeat | | leader to all | the leader's ballot and progress | Accepted or Preempted |
| Accepted | p2b | acceptor to leader | acceptance up to a slot | |
| Preempted | p1b, p2b | acceptor to candidate or leader | the higher ballot that it has promised | |
| TooFarBehind | | acceptor to candidate | refusal: slots unknown to the candidate are compacted | |
| Learn | | follower to leader | the slots that it has missed | Accept, or the first Part |
| Part, Fetch | | leader to follower, and back | a checkpoint, part by part | each other |
| TakeOver | | leader to its successor | the leader has ceased to lead | Prepare, to all |

PMMC is van Renesse and Altinbuken, *Paxos Made Moderately Complex*, ACM Computing Surveys 2015.
"""

from __future__ import annotations

from typing import TypeAlias

from framework import NO_BALLOT, Ballot, Command, Message, Record

Value: TypeAlias = Command | None
"""The value of a slot; None is a no-op, which fills a gap."""


class Proposal(Record):
    """A value proposed in a ballot."""

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

    `released`: the ballot whose leader has ceased to lead in the candidate's favour, so that its lease no longer binds.
    """

    ballot: Ballot
    slot: int
    released: Ballot = NO_BALLOT


class Promise(Message):
    """Phase 1b: the proposals that the acceptor has accepted, from the slot of Prepare on.

    `following`: the slot from which to request the rest, which did not fit; 0: there is no more.
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
    """A sign of life from the leader, which has proposed up to `last`. All slots up to `chosen` are chosen.

    `round` numbers the heartbeats of the leader.
    """

    ballot: Ballot
    round: int
    last: int
    chosen: int


class Accepted(Message):
    """Phase 2b: each slot up to `mark` is known to the acceptor as chosen, or durably accepted by it in `ballot`.

    `round`: the round of the heartbeat that this answers; 0: it answers none.
    """

    ballot: Ballot
    mark: int
    round: int = 0


class Preempted(Message):
    """Refuses Prepare, Accept or Heartbeat: the acceptor has promised `ballot`, which is higher (PMMC: preempted)."""

    ballot: Ballot


class TooFarBehind(Message):
    """Refuses Prepare of `ballot`: the acceptor has compacted slots that the candidate does not know to be chosen.

    The acceptor cannot report the values chosen there, so it makes no promise.
    """

    ballot: Ballot


class Learn(Message):
    """Requests the slots `first..last`, which the sender has not accepted in the leader's ballot."""

    ballot: Ballot
    first: int
    last: int


class Part(Message):
    """The bytes at `offset` of the checkpoint of `slot`, whose total size is `size` bytes."""

    ballot: Ballot
    slot: int
    offset: int
    size: int
    data: bytes


class Fetch(Message):
    """Requests the part at `offset` of the checkpoint of `slot`."""

    ballot: Ballot
    slot: int
    offset: int


class TakeOver(Message):
    """Hands over: the leader of `ballot` has ceased to lead, and the receiver may begin a ballot at once."""

    ballot: Ballot
