"""What replicas and clients promise at every moment.

| property | of whom, since when |
| --- | --- |
| timestamp order | the timestamp that a replica holds of a register never falls, restarts included |
| one value a timestamp | a register and a timestamp stand for one value, at all replicas, ever |
| a quorum holds what ended | an operation that has ended has been promised by a quorum to hold its version, or a newer one |
| promises kept | a replica that has said so does hold it |

`Versions` looks at replicas, `Promises` at clients too. A step costs what it changed.
"""

from __future__ import annotations

from collections import defaultdict, deque

from framework import CLOCKS_APART, Invariant, Node, NodeId, OperationId, QuorumSystem, Step, Violation
from plugins.protocols.abd.client import RegisterClient
from plugins.protocols.abd.messages import Timestamp, Value
from plugins.protocols.abd.node import Replica


class Versions(Invariant[Replica]):
    """Timestamp order, one value a timestamp."""

    def __init__(self) -> None:
        self.writes: dict[NodeId, int] = {}  # how many of each replica's were seen
        self.held: dict[NodeId, dict[str, Timestamp]] = {}  # by replica and register, when it was last seen
        self.values: dict[tuple[str, Timestamp], tuple[Value, NodeId]] = {}  # and who was first seen to hold it

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
            what = f"{timestamp} at {key!r} stands for {value!r} and for {version.value!r}"
            raise Violation("one value a timestamp", (first, name), what)


class Promises(Invariant[Node]):
    """A quorum holds what ended, promises kept."""

    def __init__(self) -> None:
        self.quorums: QuorumSystem | None = None  # until a client is seen
        self.ended: dict[NodeId, OperationId] = {}  # by client, the last that was looked at
        # By replica, oldest first, what it has promised and was not yet held to: when, register, timestamp.
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
