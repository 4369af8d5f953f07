"""ABD with one mistake at a time. Phases are those of Lynch and Shvartsman (1997)."""

from __future__ import annotations

import msgspec

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import (
    Message,
    NodeId,
    Ok,
    OperationId,
    ProtocolSpec,
    QuorumSystem,
    Threshold,
    handles,
    hookimpl,
    on_timer,
)
from plugins.protocols import abd
from plugins.protocols.abd.client import RegisterClient
from plugins.protocols.abd.messages import Held, Propagate, Stored, Version
from plugins.protocols.abd.node import Replica

# Replicas.


class ForgetsItsVersions(Replica):
    """What a replica holds does not survive a restart (ABD: a crash loses a replica for good)."""

    def on_start(self) -> None:
        for key in [*self.versions]:
            del self.versions[key]


class StoresEarly(Replica):
    """A replica says that it holds a version before that is durable (propagation phase)."""

    def send(self, to: NodeId, message: Message, *, before_commit: bool = False) -> None:
        super().send(to, message, before_commit=before_commit or type(message) is Stored)


class TakesOlderVersions(Replica):
    """A replica takes the version that it was sent last, not the one with the greatest timestamp (propagation
    phase)."""

    @handles(Propagate)
    def on_propagate(self, sender: NodeId, propagate: Propagate) -> None:
        self.versions[propagate.key] = propagate.version
        self.send(sender, Stored(propagate.operation))


class KeepsItsFirstVersion(Replica):
    """A replica that holds a version of its own acknowledges newer ones and does not take them (propagation phase)."""

    @handles(Propagate)
    def on_propagate(self, sender: NodeId, propagate: Propagate) -> None:
        if propagate.key not in self.versions:
            super().on_propagate(sender, propagate)
        else:
            self.send(sender, Stored(propagate.operation))


# Clients: how they choose.


class ReadsWithoutWritingBack(RegisterClient):
    """A read answers what it found and does not write it back (ABD: readers must write)."""

    def propagate(self, version: Version) -> None:
        if self.operation.function == "write":
            super().propagate(version)
        else:
            self.cancel_timer(self.transmit)
            self.complete(self.operation.id, Ok(version.value))


class StopsAtAgreement(RegisterClient):
    """A read does not write back if all who answered agree, be they enough to propagate or not
    (write_back=when_needed)."""

    def propagate(self, version: Version) -> None:
        if self.operation.function == "write" or len(set(self.found.values())) > 1:
            super().propagate(version)
        else:
            self.cancel_timer(self.transmit)
            self.complete(self.operation.id, Ok(version.value))


class WritesUnderItsOwnCounter(RegisterClient):
    """A write counts its client's own writes and asks nobody (query phase)."""

    def propagate(self, version: Version) -> None:
        if self.operation.function == "write":
            self.counter = getattr(self, "counter", 0) + 1
            version = msgspec.structs.replace(version, timestamp=(self.counter, self.operation.id))
        super().propagate(version)


class SignsWith(RegisterClient):
    """A write whose timestamp has another second half than the write itself."""

    @property
    def writer(self) -> OperationId:
        raise NotImplementedError

    def propagate(self, version: Version) -> None:
        if self.operation.function == "write":
            version = msgspec.structs.replace(version, timestamp=(version.timestamp[0], self.writer))
        super().propagate(version)


class SignsNothing(SignsWith):
    """A timestamp is a counter alone: two writes may share one (Lynch and Shvartsman: tags)."""

    writer = 0


class SignsWithItsClient(SignsWith):
    """A timestamp names the client, whose next write may count to the same after one that timed out (Lynch and
    Shvartsman: tags)."""

    @property
    def writer(self) -> OperationId:
        return int(self.id.removeprefix("c"))


class StartsAnew(RegisterClient):
    """A write that waits for a quorum begins again, under a greater timestamp (a write has one timestamp)."""

    @on_timer
    def transmit(self) -> None:
        if self.chosen is not None and self.holders:
            self.invoke(self.operation)
        else:
            super().transmit()

    @handles(Stored)
    def on_stored(self, sender: NodeId, stored: Stored) -> None:
        if self.current is not None and self.chosen is not None:
            super().on_stored(sender, stored)


# Clients: whom they believe.


class AsksOneTooFew(RegisterClient):
    """One answer less than a majority ends the query (query phase)."""

    def on_start(self) -> None:
        super().on_start()
        self.quorums = QuorumSystem(one_short(self.servers), self.quorums.phase2)


class TrustsOneTooFew(RegisterClient):
    """One answer less than a majority ends the propagation (propagation phase)."""

    def on_start(self) -> None:
        super().on_start()
        self.quorums = QuorumSystem(self.quorums.phase1, one_short(self.servers))


def one_short(nodes: tuple[NodeId, ...]) -> Threshold:
    """One less than a majority."""
    return Threshold(nodes, len(nodes) // 2)


class CountsLateAnswers(RegisterClient):
    """An answer to an earlier query counts in this one (query phase)."""

    @handles(Held)
    def on_held(self, sender: NodeId, held: Held) -> None:
        if self.current is not None:
            held = msgspec.structs.replace(held, operation=self.current)
        super().on_held(sender, held)


ASKS_TWO_OF_FIVE = ("nodes=5", "protocol.quorums.kind=flexible", "protocol.quorums.phase1=2")

MUTANTS = (
    Mutant(ForgetsItsVersions),
    Mutant(StoresEarly),
    Mutant(TakesOlderVersions),
    Mutant(KeepsItsFirstVersion),
    Mutant(ReadsWithoutWritingBack),
    Mutant(StopsAtAgreement, needs=ASKS_TWO_OF_FIVE),
    Mutant(WritesUnderItsOwnCounter),
    Mutant(SignsNothing),
    Mutant(SignsWithItsClient),
    Mutant(StartsAnew),
    Mutant(AsksOneTooFew),
    Mutant(TrustsOneTooFew),
    Mutant(CountsLateAnswers),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = abd.register_protocols()
    return mutated(itself, MUTANTS)
