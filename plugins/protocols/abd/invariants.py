"""Invariants of ABD's replicas and clients.

| property | definition |
| --- | --- |
| timestamp order | a replica's timestamp of a register never decreases, restarts included |
| one value a timestamp | a register and a timestamp identify one value, at all replicas, at all times |
| a quorum holds what ended | when an operation ends, a quorum has promised to hold its version, or a newer one |
| promises kept | a replica holds the version that it promised to hold, or a newer one |

`Versions` observes replicas, `Promises` also clients. The cost of a step is proportional to its changes.
"""

from __future__ import annotations

from collections import defaultdict, deque

from framework import CLOCKS_APART, Invariant, Node, NodeId, OperationId, QuorumSystem, Step, Violation
from plugins.protocols.abd.client import RegisterClient
from plugins.protocols.abd.messages import Timestamp, Value
from plugins.protocols.abd.node import Replica


class Versions(Invariant[Replica]):
    """Checks timestamp order, and one value a timestamp."""

    def __init__(self) -> None:
        self.writes: dict[NodeId, int] = {}  # the number of writes seen of each replica
        self.held: dict[NodeId, dict[str, Timestamp]] = {}  # by replica and register, as last seen
        self.values: dict[tuple[str, Timestamp], tuple[Value, NodeId]] = {}  # and the replica first seen to hold it

    def observe(self, step: Step, node: Replica) -> None:
        versions, held = node.versions, self.held.setdefault(step.node, {})
        if step.started:
            keys = [*held, *versions]
        elif versions.writes == self.writes[step.node]:
            return
        else:
            keys = list(versions.latest(versions.writes - self.writes[step.node]))
        self.writes[step.node] = versions.writes
        for key in keys:
            self._check(key, node, held)

    def _check(self, key: str, node: Replica, held: dict[str, Timestamp]) -> None:
        name, version = node.id, node.version(key)
        timestamp, before = version.timestamp, held.get(key, version.timestamp)
        held[key] = timestamp
        if timestamp < before:
            raise Violation("timestamp order", (name,), f"went back from {before} to {timestamp} at {key!r}")
        value, first = self.values.setdefault((key, timestamp), (version.value, name))
        if value != version.value:
            what = f"{timestamp} at {key!r} has two values, {value!r} and {version.value!r}"
            raise Violation("one value a timestamp", (first, name), what)


class Promises(Invariant[Node]):
    """Checks that a quorum holds what ended, and that promises are kept."""

    def __init__(self) -> None:
        self.quorums: QuorumSystem | None = None  # until a client is seen
        self.ended: dict[NodeId, OperationId] = {}  # by client, the last operation checked
        # By replica, oldest first, the promises not yet checked: time, register, timestamp.
        self.promised: dict[NodeId, deque[tuple[int, str, Timestamp]]] = defaultdict(deque)

    def observe(self, step: Step, node: Node) -> None:
        if isinstance(node, Replica):
            self._check_kept(step, node)
        elif isinstance(node, RegisterClient) and node.ended and self.ended.get(node.id) != node.operation.id:
            self.ended[node.id] = node.operation.id
            self._check_ended(step, node)

    def _check_ended(self, step: Step, client: RegisterClient) -> None:
        chosen, holders = client.chosen, sorted(client.holders)
        assert chosen is not None
        self.quorums = self.quorums or client.config.quorums.build(client.servers)
        if not self.quorums.phase2.reached(holders):
            what = f"operation {chosen.operation} of {client.id} ended when {' '.join(holders)} held its version"
            raise Violation("a quorum holds what ended", (client.id, *holders), what)
        for replica in holders:
            self.promised[replica].append((step.time, chosen.key, chosen.version.timestamp))

    def _check_kept(self, step: Step, replica: Replica) -> None:
        promised = self.promised[replica.id]
        while promised and promised[0][0] + CLOCKS_APART <= step.time:
            _, key, timestamp = promised.popleft()
            holds = replica.version(key).timestamp
            if holds < timestamp:
                what = f"promised to hold {timestamp} at {key!r}, and holds {holds}"
                raise Violation("promises kept", (replica.id,), what)


INVARIANTS = (Versions, Promises)
