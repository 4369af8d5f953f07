"""Clusters of Paxos Commit driven by hand, and counts of what they send and force to disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from framework import CommitVote, Node, NodeId, ProtocolSpec
from framework.testing.cluster import Cluster, Envelope
from tests.composing import composed

CO_LOCATED = ("protocol.coordinators=0", "protocol.acceptors=participants")
"""Each participant is an acceptor too, and the first one leads."""


def cluster(nodes: int, *settings: str, clients: int = 2, node: type[Node] | None = None) -> Cluster:
    """Returns a cluster under `settings`, whose nodes are of the class `node`."""
    words = ("experiment=paxos_commit", "engine=sim", "protocol.acceptors=separate", "protocol.coordinators=1")
    experiment = composed(*words, f"nodes={nodes}", f"clients={clients}", *settings).experiment
    if node is not None:
        roles = {role: (node, count) for role, (_, count) in experiment.protocol.roles.items()}
        protocol: ProtocolSpec = replace(experiment.protocol, node=node, roles=roles)
        experiment = replace(experiment, protocol=protocol)
    return Cluster.of(experiment)


def votes(participants: Sequence[NodeId], **others: CommitVote) -> tuple[tuple[NodeId, CommitVote], ...]:
    """Returns a transaction's argument: all vote yes but for `others`."""
    return tuple((node, others.get(node, "yes")) for node in participants)


def participants(cluster: Cluster) -> tuple[NodeId, ...]:
    found: tuple[NodeId, ...] = cluster.node(cluster.up[0]).roles["participant"]
    return found


def commit(cluster: Cluster, key: str | None = "x", client: NodeId = "c1", **others: CommitVote) -> int:
    """Has a client invoke a transaction of all participants, and returns its id."""
    return cluster.invoke(client, "commit", key, votes(participants(cluster), **others))


def is_counted(cluster: Cluster, envelope: Envelope) -> bool:
    """Returns whether a message is between two different nodes; those of clients are not counted."""
    return envelope.sender != envelope.to and {envelope.sender, envelope.to} <= set(cluster.servers)


def messages(cluster: Cluster) -> Counter[str]:
    """Delivers all messages and counts those between different nodes, by kind."""
    found: Counter[str] = Counter()
    while cluster.envelopes:
        envelope = cluster.deliver()
        if is_counted(cluster, envelope):
            found[type(envelope.message).__name__] += 1
    return found


def writes(cluster: Cluster) -> Counter[tuple[NodeId, str]]:
    """Returns the commits since the log was cleared, by node and kind of what caused them."""
    found: Counter[tuple[NodeId, str]] = Counter()
    cause = ("", "")
    for line in cluster.log:
        if " takes " in line and not line.startswith(" "):
            node, _, message = line.partition(" takes ")
            cause = (node, message.partition("(")[0].split()[0])
        elif line.startswith("  commits"):
            found[cause] += 1
    return found


def delays(cluster: Cluster, until: Callable[[], bool]) -> int:
    """Delivers messages, each after one delay and a node's to itself after none, until `until()` holds; returns the delays."""
    count = 0
    while not until():
        count += 1
        for envelope in list(cluster.envelopes):
            cluster.deliver(envelope)
        while own := [each for each in cluster.envelopes if each.sender == each.to]:
            for envelope in own:
                cluster.deliver(envelope)
    return count


def decided(cluster: Cluster, transaction: int = 0) -> dict[NodeId, str]:
    """Returns the decision at each node that knows it."""
    nodes = [(node.id, node.decision_of(transaction)) for node in cluster.nodes()]
    return {name: decision for name, decision in nodes if decision is not None}
