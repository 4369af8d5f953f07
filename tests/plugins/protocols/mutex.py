"""Clusters for stories of mutual exclusion: nodes, and clients of the workload `lock`, each bound to a node."""

from __future__ import annotations

from collections import Counter

from framework import Ok
from framework.testing.cluster import Cluster
from tests.composing import composed

LOCK = "l1"


def cluster(protocol: str, *settings: str, nodes: int = 3, clients: int = 3) -> Cluster:
    """Returns a cluster whose clients release a lock at once when they are asked to."""
    words = (f"protocol={protocol}", "workload=lock", "engine=sim", f"nodes={nodes}", f"clients={clients}")
    made = Cluster.of(composed(*words, *settings).experiment)
    made.stabilize()
    made.clear_log()
    return made


def acquire(cluster: Cluster, client: str, lock: str = LOCK) -> int:
    """A client asks for the lock, and its process hears of it."""
    operation = cluster.invoke(client, "acquire", lock)
    cluster.deliver("LockRequest", client)
    return operation


def release(cluster: Cluster, client: str, lock: str = LOCK) -> None:
    """A client gives the lock back, and its process hears of it."""
    cluster.invoke(client, "release", lock)
    cluster.deliver("LockReturn", client)


def count_messages(cluster: Cluster) -> Counter[str]:
    """Delivers everything; returns the messages between different nodes by their kind."""
    seen: Counter[str] = Counter()
    while cluster.envelopes:
        envelope = cluster.deliver()
        if envelope.sender in cluster.servers and envelope.to in cluster.servers and envelope.sender != envelope.to:
            seen[type(envelope.message).__name__] += 1
    return seen


def cost_of_a_turn(cluster: Cluster, client: str) -> Counter[str]:
    """Returns the messages between nodes of one turn of a client, while nobody else wants the lock."""
    operation = acquire(cluster, client)
    seen = count_messages(cluster)
    assert isinstance(cluster.outcomes[operation], Ok)
    release(cluster, client)
    return seen + count_messages(cluster)


def inside(cluster: Cluster, lock: str = LOCK) -> list[str]:
    """Returns the nodes in the critical section."""
    return [node.id for node in cluster.nodes() if lock in getattr(node, "inside", ())]


def tokens(cluster: Cluster, *operations: int) -> list[int]:
    """Returns the tokens of acquires that have been granted."""
    return [cluster.outcomes[operation].value for operation in operations]  # type: ignore[union-attr]
