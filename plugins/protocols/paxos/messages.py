"""The messages between the roles of an instance (Paxos Made Simple, section 2.2), and those of clients."""

from __future__ import annotations

from framework import Ballot, Message, OperationId, Proposal


class Prepare(Message):
    """Phase 1a: asks for a promise to accept nothing below `ballot`."""

    instance: str
    ballot: Ballot


class Promise(Message):
    """Phase 1b: the promise, with the highest proposal that the sender has accepted."""

    instance: str
    ballot: Ballot
    accepted: Proposal | None


class Accept(Message):
    """Phase 2a: asks for a vote for `value`."""

    instance: str
    ballot: Ballot
    value: str


class Accepted(Message):
    """Phase 2b: the sender's vote, sent to the nodes that learn from it."""

    instance: str
    ballot: Ballot
    value: str


class Nack(Message):
    """Refuses Prepare or Accept of `ballot`: the sender has promised a higher one (end of section 2.2)."""

    instance: str
    ballot: Ballot
    promised: Ballot


class Decided(Message):
    """Informs a learner of the chosen value; sent by the proposer."""

    instance: str
    ballot: Ballot
    value: str


class Propose(Message):
    """A client's value for an instance."""

    operation: OperationId
    instance: str
    value: str


class Chosen(Message):
    """The answer to a client: the value that the instance decided, from any proposer."""

    operation: OperationId
    value: str
