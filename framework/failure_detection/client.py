"""The client of all failure detectors: it asks any node for its suspicions."""

from __future__ import annotations

from framework.core.client import Client, Ok, Operation
from framework.core.message import NodeId
from framework.core.node import handles, on_timer
from framework.failure_detection.detector import DetectorConfig, SuspectsReply, SuspectsRequest


class SuspectsClient(Client):
    """A client with the operation `suspects`. Its result is `(node, suspects)`: the node that answered, and its
    suspects.

    It asks a random node, and another one if no answer comes.
    """

    config: DetectorConfig

    def invoke(self, operation: Operation) -> None:
        self.request = SuspectsRequest(operation.id)
        self.ask()

    @on_timer
    def ask(self) -> None:
        self.send(self.rng.choice(self.servers), self.request)
        self.set_timer(self.ask, after=self.config.client_retry)

    @handles(SuspectsReply)
    def on_suspects_reply(self, sender: NodeId, reply: SuspectsReply) -> None:
        if reply.operation == self.current:
            self.cancel_timer(self.ask)
        self.complete(reply.operation, Ok((sender, reply.suspects)))
