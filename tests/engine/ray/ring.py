"""A token that nodes pass around: its holder gives it up durably before the next may have it, so that at most one holds it.

Who holds it changes fifty times a second, so that a node which is killed is soon seen in a state of long ago, if its record
has a gap.
"""

from __future__ import annotations

from framework import (
    Client,
    Invariant,
    Message,
    Node,
    NodeId,
    Ok,
    Operation,
    OperationId,
    ProtocolSpec,
    Step,
    Violation,
    durable,
    handles,
    on_timer,
)
from framework.core.time import MILLISECOND


class Token(Message):
    hop: int


class Ping(Message):
    operation: OperationId


class Ring(Node):
    hop: int = durable(0)
    holds: bool = durable(False)

    def on_start(self) -> None:
        ring = sorted((*self.peers, self.id))
        self.next = ring[(ring.index(self.id) + 1) % len(ring)]
        if self.id == ring[0] and not self.hop:
            self.hop, self.holds = 1, True
        if self.holds:
            self.set_timer(self.give_up, after=20 * MILLISECOND)
        self.set_timer(self.pass_on, after=5 * MILLISECOND)

    @on_timer
    def give_up(self) -> None:
        self.holds = False

    @on_timer
    def pass_on(self) -> None:
        if self.hop and not self.holds:  # until somebody is further
            self.send(self.next, Token(self.hop + 1))
        self.set_timer(self.pass_on, after=5 * MILLISECOND)

    @handles(Token)
    def on_token(self, sender: NodeId, token: Token) -> None:
        if token.hop > self.hop:
            self.hop, self.holds = token.hop, True
            self.set_timer(self.give_up, after=20 * MILLISECOND)

    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: Ping) -> None:
        self.send(sender, ping)


class Hasty(Ring):
    """Passes the token on while it holds it."""

    @on_timer
    def pass_on(self) -> None:
        if self.hop:
            self.send(self.next, Token(self.hop + 1))
        self.set_timer(self.pass_on, after=5 * MILLISECOND)


class Pinger(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Ping(operation.id))

    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: Ping) -> None:
        self.complete(ping.operation, Ok(None))


class OneHolder(Invariant[Ring]):
    """At most one node holds the token now."""

    def __init__(self) -> None:
        self.holders: set[NodeId] = set()

    def observe(self, step: Step, node: Ring) -> None:
        (self.holders.add if node.holds else self.holders.discard)(step.node)
        if len(self.holders) > 1:
            raise Violation("one holder", tuple(sorted(self.holders)), "two hold the token")


def ring(node: type[Ring]) -> ProtocolSpec:
    return ProtocolSpec(name="ring", summary="A token.", node=node, client=Pinger, invariants=(OneHolder,))
