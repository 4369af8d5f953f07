"""Administrative operations: requests to a running group other than its clients' operations.

    ProtocolSpec(name="raft", ..., administration=("add_node", "remove_node", "transfer_leader"))

A fault schedule requests them through an `Administrator`, a client outside the workload that leaves nothing in the
history. They are idempotent by nature: "n6 is a member", "n2 is not", "n3 leads".
"""

from __future__ import annotations

from framework.core.client import Fail, Ok, Operation, OperationId
from framework.core.message import Message, NodeId
from framework.core.node import handles
from framework.replication.leader_client import LeaderClient

ADMINISTRATOR: NodeId = "admin"
"""The name of a run's administrator."""


class Administer(Message):
    """Asks the leader to apply `function`, one of the protocol's `administration`, to `node`.

    A node that does not lead answers `NotLeader(operation, 0, leader)`. The request is repeated until it is answered.
    """

    operation: OperationId
    function: str
    node: NodeId


class Administered(Message):
    """The answer to `Administer`: done durably, or, if `refused` gives a reason, never to be done."""

    operation: OperationId
    refused: str = ""


class Administrator(LeaderClient):
    """Requests one administrative operation after another; the argument of each is the node to which it applies."""

    def invoke(self, operation: Operation) -> None:
        self.asking = operation.id
        self.ask(Administer(operation.id, operation.function, operation.argument))

    @handles(Administered)
    def on_administered(self, sender: NodeId, answer: Administered) -> None:
        if answer.operation != self.asking:
            return  # an answer to an earlier attempt
        self.leader = sender
        self.end(Fail(answer.refused) if answer.refused else Ok())
