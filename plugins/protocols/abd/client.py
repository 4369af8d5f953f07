"""The client. It coordinates its own operations: a query, then a propagation, each to a quorum.

    read:   find the newest version at a quorum; store it at a quorum; return its value
    write:  find the newest version at a quorum; store (its counter + 1, this write) and the value at a quorum

Every query quorum shares a replica with every propagation quorum, so an operation finds the version of every operation
that ended before it began.
"""

from __future__ import annotations

from collections.abc import Collection

from framework import Client, NodeId, Ok, Operation, handles, on_timer
from plugins.protocols.abd.config import AbdConfig
from plugins.protocols.abd.messages import Held, Propagate, Query, Stored, Version


class RegisterClient(Client):
    """Reads and writes registers by key; a workload without keys has a single register."""

    config: AbdConfig

    def on_start(self) -> None:
        self.quorums = self.config.quorums.build(self.servers)
        self.ended = False

    def invoke(self, operation: Operation) -> None:
        self.operation, self.key, self.ended = operation, operation.key or "", False
        self.found: dict[NodeId, Version] = {}  # phase 1: what each replica holds
        self.chosen: Propagate | None = None  # phase 2: the version that a quorum must hold
        self.holders: set[NodeId] = set()  # phase 2: the replicas known to hold it
        self.transmit()

    @on_timer
    def transmit(self) -> None:
        """Sends this phase's request to all replicas that have not answered it, repeatedly until a quorum has."""
        request = self.chosen or Query(self.operation.id, self.key)
        self.multicast(self.awaited_nodes(), request)
        self.set_timer(self.transmit, after=self.config.retry)

    def awaited_nodes(self) -> list[NodeId]:
        answered: Collection[NodeId] = self.found if self.chosen is None else self.holders
        return [server for server in self.servers if server not in answered]

    @handles(Held)
    def on_held(self, sender: NodeId, held: Held) -> None:
        if held.operation != self.current or self.chosen is not None:
            return  # answers an earlier phase
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
        if self.config.write_back == "when_needed":  # no replica holds a value being written
            self.holders = {replica for replica, found in self.found.items() if found == version}
        if not self.end_if_held():
            self.transmit()

    @handles(Stored)
    def on_stored(self, sender: NodeId, stored: Stored) -> None:
        if stored.operation != self.current:
            return  # answers an earlier operation
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
