"""A cluster for stories of two-phase commit: n1 coordinates, n2, n3 and n4 take part; with coordinators=0, n1 to n3 do."""

from __future__ import annotations

import dataclasses
from collections import Counter

from framework.testing.cluster import Cluster
from plugins.protocols.two_phase_commit.node import TwoPhaseCommit
from tests.composing import composed

BASE = ("protocol=two_phase_commit", "workload=commits", "engine=sim", "clients=2")


def cluster(*settings: str, nodes: int = 4, node: type[TwoPhaseCommit] = TwoPhaseCommit) -> Cluster:
    experiment = composed(*BASE, f"nodes={nodes}", *(f"protocol.{setting}" for setting in settings)).experiment
    spec = experiment.protocol
    spec = dataclasses.replace(spec, roles={role: (node, count) for role, (_, count) in spec.roles.items()})
    made = Cluster.of(dataclasses.replace(experiment, protocol=spec))
    made.clear_log()
    return made


def commit(cluster: Cluster, *votes: str, key: str = "x", client: str = "c1") -> int:
    """A client asks for a transaction, and its request reaches the coordinator. The participants vote in this order."""
    participants = cluster.node("n1").roles["participant"]
    operation = cluster.invoke(client, "commit", key, tuple(zip(participants, votes, strict=False)))
    cluster.deliver_all("CommitRequest")
    if cluster.waiting("NewIncarnation"):
        cluster.deliver_all("NewIncarnation")
        cluster.deliver_all("CommitRequest")
    return operation


def count_messages(cluster: Cluster) -> Counter[str]:
    """Delivers everything; the messages between different nodes."""
    seen: Counter[str] = Counter()
    while cluster.envelopes:
        envelope = cluster.deliver()
        if envelope.sender in cluster.servers and envelope.to in cluster.servers and envelope.sender != envelope.to:
            seen[type(envelope.message).__name__] += 1
    return seen


def forced_writes(cluster: Cluster) -> int:
    """The commits since `clear_log`."""
    return sum(line.startswith("  commits ") for line in cluster.log)


def decisions(cluster: Cluster, transaction: int) -> dict[str, str | None]:
    """What each node that is up knows to be decided."""
    return {node.id: node.decision_of(transaction) for node in cluster.nodes()}


def everyone(cluster: Cluster, decision: str) -> dict[str, str]:
    return dict.fromkeys(cluster.servers, decision)
