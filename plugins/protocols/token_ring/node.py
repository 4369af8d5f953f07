"""Mutual exclusion by a token that goes round a ring (Le Lann 1977), and is replaced in an election if it is lost (Le
Lann; Chang and Roberts 1979).

    wants the lock --(Wanted round to the token)--> waits --Token--> inside --Token to the next node--> out
                                                     |--too long--> Election --round the ring--> a new Token

A lost token must be replaced, and one that is only late must not. So an election gathers promises. It has an epoch, and
a node that passes it on vows to take no token of an earlier one. A node that has the token does not pass it on: it
raises the epoch of its token above that of the election. An election that comes back has been at every node, so that no
token of an earlier epoch is at any of them, or will be taken by one. This needs no bound on delays. Vows, tokens and
grants are durable, so that it also holds if nodes crash and restart. Each lock has a token and elections of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from framework import (
    NO_BALLOT,
    Ballot,
    ClientQueue,
    DurableMap,
    Grant,
    LockRequest,
    LockReturn,
    Node,
    NodeId,
    Status,
    Timestamp,
    durable_map,
    handles,
    members_of,
    on_timer,
)
from plugins.protocols.token_ring.config import TokenRingConfig
from plugins.protocols.token_ring.messages import Election, Heard, Overruled, Token, Wanted

TURNS = 20
"""Bits of a fencing token that count the turns of an epoch."""


@dataclass(slots=True)
class Station:
    """What a node may forget of one lock."""

    clients: ClientQueue = field(default_factory=ClientQueue)
    proposed: Ballot | None = None
    """The epoch of this node's election under way."""
    overruled: int = 0
    """The highest round of a later epoch that has ended an election of this node."""


class TokenRing(Node):
    """A node of the ring, which waits for the token on behalf of its clients."""

    config: TokenRingConfig

    vows: DurableMap[str, Ballot] = durable_map(str, Ballot)
    """By lock: no token of an earlier epoch than this is taken, and no election of an earlier one passed on."""
    tokens: DurableMap[str, Token] = durable_map(str, Token)
    """The tokens that this node has. The epoch of each is that of its vow."""
    inside: DurableMap[str, Grant] = durable_map(str, Grant)
    """The grants of the locks that its clients hold."""

    def on_start(self) -> None:
        self.ring = members_of(self.id, self.peers)
        self.stations: dict[str, Station] = {}
        self.left_out: dict[NodeId, None] = {}
        for key in list(self.tokens):
            grant = self.inside.get(key)
            if grant is None:
                self.use(key)
            else:  # the client may not have heard of it, or may have given the lock back while this node was down
                self.send(grant.client, grant.message(key))

    @property
    def status(self) -> Status:
        return Status(roles=("token",) if len(self.tokens) else ())

    def station(self, key: str) -> Station:
        """Returns the station of a lock. When the first node first hears of a lock, it creates its token."""
        if self.id == self.ring[0] and key not in self.vows:
            epoch = self.vows[key] = Ballot(0, self.id)
            self.tokens[key] = Token(key, epoch)
        return self.stations.setdefault(key, Station())

    def vow_of(self, key: str) -> Ballot:
        return self.vows.get(key) or NO_BALLOT

    def next_node(self) -> NodeId:
        """Returns the next node of the ring that is not left out; this node itself if there is no other."""
        at = self.ring.index(self.id)
        others = (*self.ring[at + 1 :], *self.ring[:at])
        return next((node for node in others if node not in self.left_out), self.id)

    # Ask for the token.

    @handles(LockRequest)
    def on_lock_request(self, sender: NodeId, request: LockRequest) -> None:
        key = request.key
        station = self.station(key)
        station.clients.add(sender, request.session)
        if key in self.tokens:
            self.use(key)
        elif len(station.clients.waiting) == 1:
            if not self.config.circulates or key not in self.vows:
                self.send(self.next_node(), Wanted(key, self.id))
            self.await_token(key)

    def await_token(self, key: str) -> None:
        timeout = self.config.token_timeout
        self.set_timer(self.start_election, key, after=timeout + self.rng.randrange(timeout))

    @handles(Wanted)
    def on_wanted(self, sender: NodeId, wanted: Wanted) -> None:
        key = wanted.key
        self.station(key)
        if wanted.node == self.id:
            return  # it has gone round, as the token has come in the meantime
        token = self.tokens.get(key)
        if token is None:
            self.send(self.next_node(), wanted)
        else:
            self.tokens[key] = add_wanted(token, wanted.node)
            self.use(key)

    # The token.

    @handles(Token)
    def on_token(self, sender: NodeId, token: Token) -> None:
        key = token.key
        self.station(key)
        if token.epoch < self.vow_of(key):
            self.note("discarded", key=key)  # an election took it for lost
            return
        if token.epoch > self.vow_of(key):
            self.vows[key] = token.epoch
        self.take(token)

    def take(self, token: Token) -> None:
        self.cancel_timer(self.start_election, token.key)
        wanted = tuple(node for node in token.wanted if node != self.id)
        self.tokens[token.key] = replace(token, wanted=wanted)
        self.use(token.key)

    def use(self, key: str) -> None:
        """Grants the lock to the first client; without one, passes the token on if another node wants it."""
        token, station = self.tokens[key], self.station(key)
        if key in self.inside:
            return
        if station.clients:
            token = self.tokens[key] = replace(token, turns=token.turns + 1)
            grant = self.inside[key] = station.clients.next(self.number(token))
            self.send(grant.client, grant.message(key))
        elif self.config.circulates and self.config.rest:
            self.set_timer(self.pass_on, key, after=self.config.rest)
        elif self.config.circulates or token.wanted:
            self.pass_on(key)

    def number(self, token: Token) -> int:
        """Returns the fencing token of the present turn: the epoch above the number of turns."""
        epoch = Timestamp(token.epoch.round, token.epoch.node).number(self.ring)
        return (epoch << TURNS) + token.turns

    @handles(LockReturn)
    def on_lock_return(self, sender: NodeId, returned: LockReturn) -> None:
        key = returned.key
        grant = self.inside.get(key)
        if grant is None or not grant.is_returned_by(sender, returned):
            return  # given back before
        del self.inside[key]
        if self.config.circulates or self.tokens[key].wanted:
            self.pass_on(key)
        else:
            self.use(key)

    @on_timer
    def pass_on(self, key: str) -> None:
        """Sends the token to the next node, and asks for it again if clients wait here."""
        token, target = self.tokens.get(key), self.next_node()
        if token is None or key in self.inside:
            return  # a timer that was set before the lock was granted
        token = replace(token, wanted=tuple(node for node in token.wanted if node not in self.left_out))
        if target == self.id:
            self.tokens[key] = replace(token, wanted=())
            if self.station(key).clients:
                self.use(key)
            return
        del self.tokens[key]
        if self.station(key).clients:
            token = add_wanted(token, self.id)
            self.await_token(key)
        self.send(target, token)

    # Elections.

    @on_timer
    def start_election(self, key: str) -> None:
        """Proposes to replace the token, which has not come for long."""
        station = self.station(key)
        self.left_out = {}
        epoch = Ballot(max(self.vow_of(key).round, station.overruled) + 1, self.id)
        self.vows[key] = station.proposed = epoch
        self.note("election", key=key, round=epoch.round)
        self.await_token(key)
        self.forward(Election(key, epoch))

    def forward(self, election: Election) -> None:
        """Passes an election on to the next node, or takes it as come back if there is no other."""
        target = self.next_node()
        if target == self.id:
            if election.epoch.node == self.id:
                self.regenerate(election)
            return
        self.send(target, election)
        if self.config.crashed_after:
            self.set_timer(self.leave_out, election, target, after=self.config.crashed_after)

    @handles(Election)
    def on_election(self, sender: NodeId, election: Election) -> None:
        key, epoch = election.key, election.epoch
        self.station(key)
        if self.config.crashed_after:
            self.left_out.pop(sender, None)
            self.send(sender, Heard(key, epoch))
        vow, token = self.vow_of(key), self.tokens.get(key)
        if epoch.node == self.id:
            if epoch == vow and epoch == self.station(key).proposed:  # else overruled, or a second copy
                self.regenerate(election)
        elif epoch <= vow:
            if epoch < vow:  # Chang and Roberts: the later one goes on
                self.send(epoch.node, Overruled(key, vow))
        elif token is not None:  # it is not lost: those that have vowed take it in a later epoch
            later = self.vows[key] = Ballot(epoch.round + 1, self.id)
            self.tokens[key] = replace(add_wanted(token, epoch.node), epoch=later)
            self.note("not_lost", key=key)
            self.use(key)
        else:
            self.vows[key] = epoch
            self.forward(election)

    def regenerate(self, election: Election) -> None:
        """Creates a token in the epoch of this node's election, which has gone round."""
        self.station(election.key).proposed = None
        self.note("regenerated", key=election.key, round=election.epoch.round)
        self.take(Token(election.key, election.epoch))

    @handles(Overruled)
    def on_overruled(self, sender: NodeId, overruled: Overruled) -> None:
        station = self.station(overruled.key)
        station.overruled = max(station.overruled, overruled.epoch.round)

    @handles(Heard)
    def on_heard(self, sender: NodeId, heard: Heard) -> None:
        self.cancel_timer(self.leave_out, Election(heard.key, heard.epoch), sender)

    @on_timer
    def leave_out(self, election: Election, node: NodeId) -> None:
        """Takes a silent node for crashed, and passes the election on to the one behind it."""
        self.left_out[node] = None
        self.note("left_out", node=node)
        if self.vow_of(election.key) == election.epoch:
            self.forward(election)


def add_wanted(token: Token, node: NodeId) -> Token:
    """Returns the token with a node among those that have asked for it."""
    return token if node in token.wanted else replace(token, wanted=(*token.wanted, node))
