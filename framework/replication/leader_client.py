"""The client of a protocol with a leader: sends a request, follows redirects, and retries until it is answered."""

from __future__ import annotations

from framework.core.client import Client, OperationId, Outcome
from framework.core.message import Config, Message, NodeId
from framework.core.node import handles, on_timer
from framework.core.time import Duration


class RetryConfig(Config):
    """A client's retry policy."""

    retry: Duration = Duration("500ms")
    """Time to wait for an answer before trying the next server."""
    backoff: Duration = Duration("20ms")
    """Time to wait when no server knows a leader."""


class NotLeader(Message):
    """The refusal of a node that does not lead: nothing was done. `leader` is the node to ask, if the sender knows it.

    `sequence` is that of the request, or 0.
    """

    operation: OperationId
    sequence: int
    leader: NodeId | None


class LeaderClient(Client):
    """Base of the clients of a protocol with a leader. The config has a `RetryConfig` under `session`.

    `ask` sends a request to the presumed leader, and repeats it until `end` ends the operation.
    """

    def on_start(self) -> None:
        self.leader: NodeId | None = None
        self.attempt = 0
        self.redirects = 0
        self.asking: OperationId | None = None
        self.request: Message | None = None
        self.sequence = 0  # of the request under way

    def awaited_nodes(self) -> tuple[NodeId, ...]:
        return () if self.asking is None else (self._target(),)

    def ask(self, request: Message) -> None:
        """Sends `request` for the operation `self.asking`; every attempt sends the same request."""
        self.request = request
        self.redirects = 0
        self._send()

    def end(self, outcome: Outcome) -> None:
        """Ends the operation under way."""
        assert self.asking is not None
        asking, self.asking, self.request = self.asking, None, None
        self.cancel_timer(self.try_next)
        self.complete(asking, outcome)

    @handles(NotLeader)
    def on_not_leader(self, sender: NodeId, answer: NotLeader) -> None:
        if answer.operation != self.asking or answer.sequence != self.sequence or sender != self._target():
            return  # an answer to an earlier attempt
        known = answer.leader != sender and answer.leader in self.servers
        if known and self.redirects < len(self.servers):  # two servers may name each other as leader
            self.leader = answer.leader
            self.redirects += 1
            self._send()
        else:
            self.set_timer(self.try_next, after=self.config.session.backoff)

    @on_timer
    def try_next(self) -> None:
        """Tries the next server: the last one did not answer, or knows no leader."""
        failed = self._target()
        self.attempt += 1
        if self._turn() == failed:  # it was asked as the leader named by another server
            self.attempt += 1
        self.leader = None
        self.redirects = 0
        self._send()

    def _send(self) -> None:
        assert self.request is not None
        self.send(self._target(), self.request)
        self.set_timer(self.try_next, after=self.config.session.retry)

    def _target(self) -> NodeId:
        return self.leader or self._turn()

    def _turn(self) -> NodeId:
        return self.servers[self.attempt % len(self.servers)]
