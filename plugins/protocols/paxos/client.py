"""The client of the Synod. It asks a random proposer, and another one if there is no answer.

Retries are safe: an instance decides once, and every client gets the same answer. An operation ends with the value
decided.
"""

from __future__ import annotations

from framework import Client, Fail, NodeId, Ok, Operation, handles, on_timer
from plugins.protocols.paxos.config import PaxosConfig
from plugins.protocols.paxos.messages import Chosen, Propose


class PaxosClient(Client):
    """A client with one proposal at a time."""

    config: PaxosConfig

    def on_start(self) -> None:
        self.request: Propose | None = None
        self.proposer: NodeId | None = None

    def awaited_nodes(self) -> tuple[NodeId, ...]:
        return () if self.request is None or self.proposer is None else (self.proposer,)

    def invoke(self, operation: Operation) -> None:
        if not isinstance(operation.argument, str):
            self.complete(operation.id, Fail("a proposal is a text"))
            return
        self.request = Propose(operation.id, operation.key or "", operation.argument)
        self.ask()

    @on_timer
    def ask(self) -> None:
        """Asks a proposer, a different one than before if there are several."""
        assert self.request is not None
        proposers = self.config.proposers or self.servers
        others = [proposer for proposer in proposers if proposer != self.proposer]
        self.proposer = self.rng.choice(others or proposers)
        self.send(self.proposer, self.request)
        self.set_timer(self.ask, after=self.config.client_retry)

    @handles(Chosen)
    def on_chosen(self, sender: NodeId, chosen: Chosen) -> None:
        if self.request is None or chosen.operation != self.request.operation:
            return  # an answer to an earlier attempt
        self.request = None
        self.cancel_timer(self.ask)
        self.complete(chosen.operation, Ok(chosen.value))
