"""The token ring with one mistake at a time."""

from __future__ import annotations

from msgspec.structs import replace

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import (
    NO_BALLOT,
    Ballot,
    LockRequest,
    LockReturn,
    NodeId,
    ProtocolSpec,
    handles,
    hookimpl,
    on_timer,
)
from plugins.protocols import token_ring
from plugins.protocols.token_ring.messages import Election, Token
from plugins.protocols.token_ring.node import TokenRing


class RegeneratesInTheSameEpoch(TokenRing):
    """A new token has the epoch of the one that was taken for lost, so that both are accepted (epochs)."""

    @handles(Token)
    def on_token(self, sender: NodeId, token: Token) -> None:
        later = max(token.epoch, self.vow_of(token.key))
        super().on_token(sender, replace(token, epoch=later))


class RegeneratesWithoutAnElection(TokenRing):
    """A node that waits for too long creates a token, and asks nobody (Chang and Roberts)."""

    @on_timer
    def start_election(self, key: str) -> None:
        epoch = self.vows[key] = Ballot(self.vow_of(key).round + 1, self.id)
        self.regenerate(Election(key, epoch))


class PassesElectionsWithTheToken(TokenRing):
    """A node that has the token passes an election on (elections)."""

    @handles(Election)
    def on_election(self, sender: NodeId, election: Election) -> None:
        token = self.tokens.get(election.key)
        if token is not None and self.vow_of(election.key) < election.epoch:
            self.vows[election.key] = election.epoch
            self.tokens[election.key] = replace(token, epoch=election.epoch)
            self.forward(election)
        else:
            super().on_election(sender, election)


class VowsNothing(TokenRing):
    """A node that passes an election on takes older tokens afterwards (elections)."""

    @handles(Election)
    def on_election(self, sender: NodeId, election: Election) -> None:
        vow = self.vow_of(election.key)
        super().on_election(sender, election)
        if election.key not in self.tokens and election.epoch.node != self.id:
            self.vows[election.key] = vow


class ForgetsItsVows(TokenRing):
    """A node that restarts has vowed nothing but the epochs of the tokens that it has (elections)."""

    def on_start(self) -> None:
        for key in list(self.vows):
            if key not in self.tokens:
                self.vows[key] = NO_BALLOT
        super().on_start()


class ForgetsWhoIsInside(TokenRing):
    """A node that restarts with the token takes its clients for out of the critical section (durable grants)."""

    def on_start(self) -> None:
        for key in list(self.inside):
            del self.inside[key]
        super().on_start()


class PassesTheTokenWhileInside(TokenRing):
    """A node inside passes the token on as soon as another one wants it (Le Lann: a process keeps the token while inside)."""

    @on_timer
    def pass_on(self, key: str) -> None:
        if key in self.inside and key in self.tokens:
            token = self.tokens[key]
            del self.tokens[key]
            self.send(self.next_node(), token)
        else:
            super().pass_on(key)

    @handles(LockRequest)
    def on_lock_request(self, sender: NodeId, request: LockRequest) -> None:
        super().on_lock_request(sender, request)
        if request.key in self.inside:
            self.set_timer(self.pass_on, request.key, after=1_000_000)

    @handles(LockReturn)
    def on_lock_return(self, sender: NodeId, returned: LockReturn) -> None:
        if returned.key in self.tokens:
            super().on_lock_return(sender, returned)
        elif returned.key in self.inside:
            del self.inside[returned.key]
            if self.station(returned.key).clients:
                self.await_token(returned.key)


class NeverElects(TokenRing):
    """A token that does not come is awaited for ever (Le Lann: a lost token is replaced)."""

    def await_token(self, key: str) -> None:
        pass


MUTANTS = (
    Mutant(RegeneratesInTheSameEpoch),
    Mutant(RegeneratesWithoutAnElection),
    Mutant(PassesElectionsWithTheToken),
    Mutant(VowsNothing),
    Mutant(ForgetsItsVows),
    Mutant(ForgetsWhoIsInside),
    Mutant(PassesTheTokenWhileInside),
    Mutant(NeverElects, ("workload.timeout=2500ms",)),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = token_ring.register_protocols()
    return mutated(itself, MUTANTS)
