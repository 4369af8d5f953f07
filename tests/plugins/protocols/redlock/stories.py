"""A cluster for stories of Redlock: five lock servers, and two clients without a workload around them."""

from __future__ import annotations

from typing import Any

from framework import MILLISECOND
from framework.testing.cluster import Cluster
from plugins.protocols.redlock.client import RedlockClient
from plugins.protocols.redlock.config import RedlockConfig
from plugins.protocols.redlock.node import LockServer
from tests.written import written

MS = MILLISECOND
SERVERS = ("n1", "n2", "n3", "n4", "n5")
LEASE, DRIFT = 1000 * MS, 12 * MS
"""The default lease, and the allowance for drift: 1% of it, and 2 ms."""


def cluster(
    *, node: type[LockServer] = LockServer, client: type[RedlockClient] = RedlockClient, own_clocks: bool = False,
    **config: Any,
) -> Cluster:  # fmt: skip
    made = Cluster(
        node, written(RedlockConfig, **config), SERVERS, client=client, clients=["c1", "c2"], own_clocks=own_clocks
    )
    made.clear_log()
    return made


def acquire(nodes: Cluster, client: str, *servers: str, session: int = 1) -> int:
    """A client asks for the lock x; only these servers hear of it and are heard, all of them by default."""
    operation = nodes.invoke(client, "acquire", "x", session)
    exchange(nodes, client, "Set", *servers)
    return operation


def exchange(nodes: Cluster, client: str, what: str, *servers: str) -> None:
    """Delivers a client's requests, and then the answers; what others are sent is lost."""
    for envelope in nodes.waiting(sender=client):
        if type(envelope.message).__name__.startswith(what):
            (nodes.deliver if not servers or envelope.to in servers else nodes.drop)(envelope)
    nodes.deliver_all(f"{what}Reply", to=client)


def holders(nodes: Cluster) -> dict[str, str]:
    """The client whose value each server has for the lock x, where it has one that has not expired."""
    found = {}
    for server in nodes.nodes():
        entry = server.entries.get("x")
        if entry is not None and not server.is_expired(entry):
            found[server.id] = entry.value.partition(".")[0]
    return found
