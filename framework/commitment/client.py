"""The client of every atomic commitment protocol: it submits a transaction, and asks until it receives the outcome."""

from __future__ import annotations

from collections.abc import Sequence

from framework.commitment.transactions import VOTES, CommitReply, CommitRequest, NewIncarnation, Transaction
from framework.core.client import Client, Fail, Ok, Operation
from framework.core.errors import PluginError
from framework.core.message import Config, NodeId
from framework.core.node import handles, on_timer
from framework.core.time import Duration

COORDINATOR = "coordinator"
"""The role of nodes that only coordinate. No node has it if participants coordinate."""
PARTICIPANT = "participant"
"""The role of the nodes that vote."""


class CommitConfig(Config):
    """Base of the config of every protocol of atomic commitment."""

    client_retry: Duration = Duration("300ms")
    """Time that a client waits for an answer before it asks the next node."""

    def __post_init__(self) -> None:
        if self.client_retry <= 0:
            raise ValueError("client_retry=0 leaves no time for an answer: give more than 0")


class CommitClient(Client):
    """A client with one transaction at a time. The operation is `commit`, its key the one that the transaction writes,
    its argument a tuple of `(participant, vote)`, and its result `committed` or `aborted`.

    It asks the transaction's coordinator (see `coordinator_of`). If no answer comes, it asks a participant, which knows
    the outcome once it has decided, then the coordinator again, then the next participant, and so on: a coordinator
    that comes back is soon asked.
    """

    config: CommitConfig

    def on_start(self) -> None:
        self.request: CommitRequest | None = None
        self.asked: NodeId | None = None
        self.turn = 0
        self.heard: CommitReply | None = None
        """The latest answer."""
        self.incarnations: dict[NodeId, int] = {}
        """The latest incarnation of each coordinator that this client has heard of."""
        self.began = False
        """Whether the coordinator has been asked under an incarnation that it may have accepted."""

    def coordinators_of(self, transaction: Transaction) -> tuple[NodeId, ...]:
        """Returns the nodes to ask first, in order."""
        return (coordinator_of(transaction, self.roles.get(COORDINATOR, ())),)

    def awaited_nodes(self) -> tuple[NodeId, ...]:
        return () if self.request is None or self.asked is None else (self.asked,)

    def invoke(self, operation: Operation) -> None:
        try:
            votes = tuple((node, vote) for node, vote in operation.argument)
        except (TypeError, ValueError):
            self.complete(operation.id, Fail("a transaction is a list of participants, each with its vote"))
            return
        names = {node for node, _ in votes}
        participants = self.roles.get(PARTICIPANT) or self.servers
        if not votes or len(names) < len(votes) or not names <= set(participants):
            what = f"a transaction names one participant or more of {', '.join(participants)}, each once"
            self.complete(operation.id, Fail(what))
            return
        if any(vote not in VOTES for _, vote in votes):
            self.complete(operation.id, Fail(f"a participant votes {', '.join(VOTES[:-1])} or {VOTES[-1]}"))
            return
        transaction = Transaction(operation.id, operation.key or "", votes)
        first = self.coordinators_of(transaction)
        self.targets = _in_turn(first, [node for node in transaction.participants if node not in first])
        self.turn, self.began = 0, False
        self.request = CommitRequest(operation.id, transaction, self.incarnations.get(first[0], 0))
        self.ask()

    @on_timer
    def ask(self) -> None:
        """Asks the next node."""
        assert self.request is not None
        self.asked = self.targets[self.turn % len(self.targets)]
        self.turn += 1
        self.began |= self.request.incarnation > 0
        self.send(self.asked, self.request)
        self.set_timer(self.ask, after=self.config.client_retry)

    @handles(NewIncarnation)
    def on_new_incarnation(self, sender: NodeId, new: NewIncarnation) -> None:
        known = self.incarnations.get(sender, 0)
        self.incarnations[sender] = max(known, new.incarnation)
        if (
            self.request is None
            or new.operation != self.request.operation
            or new.incarnation <= self.request.incarnation
        ):
            return  # about an earlier transaction, or out of date
        self.request = CommitRequest(new.operation, self.request.transaction, new.incarnation, self.began)
        self.began = True
        self.asked = sender
        self.send(sender, self.request)

    @handles(CommitReply)
    def on_commit_reply(self, sender: NodeId, reply: CommitReply) -> None:
        if self.request is None or reply.operation != self.request.operation:
            return  # an answer to an earlier request
        self.request, self.heard = None, reply
        self.cancel_timer(self.ask)
        self.complete(reply.operation, Ok(reply.decision))


def _in_turn(coordinators: Sequence[NodeId], participants: Sequence[NodeId]) -> tuple[NodeId, ...]:
    """Returns the nodes to ask, in order: all coordinators before each participant."""
    rounds = [(*coordinators, participant) for participant in participants] or [tuple(coordinators)]
    return tuple(node for nodes in rounds for node in nodes)


def asking_time(config: CommitConfig) -> int:
    """Returns the time, in nanoseconds, after which a client has certainly asked a coordinator again."""
    return 2 * int(config.client_retry)


def coordinator_of(transaction: Transaction, coordinators: tuple[NodeId, ...]) -> NodeId:
    """Returns the coordinator of a transaction: one of the dedicated ones, by its id, else its first participant."""
    if coordinators:
        return coordinators[transaction.id % len(coordinators)]
    if not transaction.votes:
        raise PluginError("coordinator_of", f"transaction {transaction.id} has no participants", "Give it one or more.")
    return transaction.votes[0][0]
