"""Ballots, acceptor state, and the value that a new ballot may propose (Lamport, *Paxos Made Simple*, §2.2).

    vows: DurableMap[str, Vow] = durable_map(str, Vow)

    @handles(Prepare)
    def on_prepare(self, sender: NodeId, prepare: Prepare) -> None:
        vow = self.vows.get(prepare.instance) or UNBOUND
        promise = vow.prepare(prepare.ballot)
        if promise is None:
            self.send(sender, Nack(prepare.ballot, vow.promised))
            return
        self.vows[prepare.instance] = promise
        self.send(sender, Promise(prepare.ballot, promise.accepted))

A vow is one durable value. The node stores the new state that a vow returns, then answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from framework.core.message import NodeId, Record


class Ballot(Record, order=True):
    """A ballot number, printed as `2.n3`. Ballots compare by round, then by node.

    Only `node` begins it, so it is unique.
    """

    round: int
    node: NodeId

    def __str__(self) -> str:
        return f"{self.round}.{self.node}"


NO_BALLOT = Ballot(0, "")
"""A ballot lower than every ballot that a node begins."""


class Proposal(Record):
    """A value that was proposed in a ballot."""

    ballot: Ballot
    value: str


class Vow(Record):
    """The state of a single-decree acceptor: the highest ballot promised and the highest proposal accepted.

    `prepare` and `accept` return the acceptor's next state, or None if it has promised a higher ballot. The caller
    stores the state durably before it answers.
    """

    promised: Ballot = NO_BALLOT
    accepted: Proposal | None = None

    def prepare(self, ballot: Ballot) -> Vow | None:
        """Phase 1b: promises to accept nothing below `ballot`."""
        return None if ballot < self.promised else Vow(ballot, self.accepted)

    def accept(self, proposal: Proposal) -> Vow | None:
        """Phase 2b (P1a): accepts the proposal unless a higher ballot was promised."""
        return None if proposal.ballot < self.promised else Vow(proposal.ballot, proposal)


UNBOUND = Vow()
"""The state of an acceptor that has promised nothing yet."""


class HasBallot(Protocol):
    """A proposal of any protocol."""

    @property
    def ballot(self) -> Ballot: ...


P = TypeVar("P", bound=HasBallot)


def highest_proposal(proposals: Iterable[P | None]) -> P | None:
    """Returns the proposal of the highest ballot; None if there is none.

    P2c: if a quorum of acceptors has reported these, a new ballot must propose the value of the highest one. If there
    is none, no value can have been chosen, and the new ballot may propose any.
    """
    return max((each for each in proposals if each is not None), key=_ballot_of, default=None)


def _ballot_of(proposal: HasBallot) -> Ballot:
    return proposal.ballot
