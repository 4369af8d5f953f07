"""The client, which coordinates its own operations: a query, then a propagation, each to a quorum.

    read:   the newest version that a quorum holds; a quorum holds it; answer its value
    write:  the newest version that a quorum holds; a quorum holds (its counter + 1, this write) and the value

Every quorum of the one kind shares a replica with every quorum of the other, so an operation finds what was left by
any that had ended before it began.
"""

from __future__ import annotations

from collections.abc import Collection

from framework import Client, NodeId, Ok, Operation, handles, on_timer
from plugins.protocols.abd.config import AbdConfig
from plugins.protocols.abd.messages import Held, Propagate, Query, Stored, Version


class RegisterClient(Client):
    """Reads and writes registers, each by its key; a workload without keys has one register."""

    config: AbdConfig

    def on_start(self) -> None:
        self.quorums = self.config.quorums.build(self.servers)
        self.ended = False

    def invoke(self, operation: Operation) -> None:
        self.operation, self.key, self.ended = operation, operation.key or "", False
        self.found: dict[NodeId, Version] = {}  # phase 1: what each replica holds
        self.chosen: Propagate | None = None  # phase 2: what a quorum is to hold
        self.holders: set[NodeId] = set()  # ... and who does
        self.transmit()

    @on_timer
    def transmit(self) -> None:
        """Sends this phase's request to all who have not answered it, and again until a quorum has."""
        request = self.chosen or Query(self.operation.id, self.key)
        self.multicast(self.awaited_nodes(), request)
        self.set_timer(self.transmit, after=self.config.retry)

    def awaited_nodes(self) -> list[NodeId]:
        answered: Collection[NodeId] = self.found if self.chosen is None else self.holders
        return [server for server in self.servers if server not in answered]

    @handles(Held)
    def on_held(self, sender: NodeId, held: Held) -> None:
        if held.operation != self.current or self.chosen is not None:
            return  # to a phase gone by
        self.found[sender] = held.version
        if not self.quorums.phase1.reached(self.found):
            return
        newest = max(self.found.values(), key=lambda version: version.timestamp)
        if self.operation.function == "write":
            counter, _ = newest.timestamp
            self.propagate(Version((counter + 1, self.operation.id), self.operation.argument))
        else:
            self.propagate(newest)

    def propagate(self, version: Version) -> None:
        """Begins phase 2."""
        self.chosen = Propagate(self.operation.id, self.key, version)
        if self.config.write_back == "when_needed":  # nobody holds what is being written
            self.holders = {replica for replica, found in self.found.items() if found == version}
        if not self.end_if_held():
            self.transmit()

    @handles(Stored)
    def on_stored(self, sender: NodeId, stored: Stored) -> None:
        if stored.operation != self.current:
            return  # to an operation gone by
        self.holders.add(sender)
        self.end_if_held()

    def end_if_held(self) -> bool:
        """Ends the operation if a quorum holds the chosen version."""
        assert self.chosen is not None
        self.ended = self.quorums.phase2.reached(self.holders)
        if self.ended:
            self.cancel_timer(self.transmit)
            reads = self.operation.function == "read"
            self.complete(self.operation.id, Ok(self.chosen.version.value if reads else None))
        return self.ended
