"""Administrative operations: what is asked of a running group besides its clients' work.

    ProtocolSpec(name="raft", ..., administration=("add_node", "remove_node", "transfer_leader"))

A fault schedule asks for them through an `Administrator`, a client that is no part of the workload and leaves nothing
in the history. They are idempotent by nature: "n6 is a member", "n2 is none", "n3 leads".
"""

from __future__ import annotations

from framework.core.client import Fail, Ok, Operation, OperationId
from framework.core.message import Message, NodeId
from framework.core.node import handles
from framework.replication.leader_client import LeaderClient

ADMINISTRATOR: NodeId = "admin"
"""The name of a run's administrator."""


class Administer(Message):
    """Asks the leader to see to it that `function`, one of the protocol's `administration`, is done to `node`.

    Whoever does not lead answers `NotLeader(operation, 0, leader)`. It is asked again until there is an answer.
    """

    operation: OperationId
    function: str
    node: NodeId


class Administered(Message):
    """It is done, durably; or never will be, if `refused` says why."""

    operation: OperationId
    refused: str = ""


class Administrator(LeaderClient):
    """Asks for one administrative operation after another; the argument of each is the node that it is done to."""

    def invoke(self, operation: Operation) -> None:
        self.asking = operation.id
        self.ask(Administer(operation.id, operation.function, operation.argument))

    @handles(Administered)
    def on_administered(self, sender: NodeId, answer: Administered) -> None:
        if answer.operation != self.asking:
            return  # an answer to an earlier attempt
        self.leader = sender
        self.end(Fail(answer.refused) if answer.refused else Ok())
