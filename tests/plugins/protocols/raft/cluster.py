"""Raft clusters driven by hand, and what their tests ask of them again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framework import Administer, Command, NodeId, Query, SessionClient
from framework.replication.sessions import OPEN
from framework.testing.cluster import Cluster
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.messages import Entry, PreVote, PreVoted, RequestVote, Vote
from plugins.protocols.raft.node import Raft
from tests.plugins.protocols.raft.tape import TAPE, Tape

FIGURE_2 = {"prevote": False, "check_quorum": False}
"""The paper's Raft, without what the thesis adds to elections."""


def raft_cluster(
    size: int, node: type[Raft] = Raft, seed: int = 0, *, spares: int = 0, clients: Sequence[NodeId] = (),
    own_clocks: bool = True, **config: Any,
) -> Cluster:  # fmt: skip
    """A Raft that replicates a tape, as in Figure 2 unless `config` asks for more. Spares run from the start, and are
    no members."""
    servers = [f"n{number}" for number in range(1, size + spares + 1)]
    settings = RaftConfig(state_machine=TAPE, **(FIGURE_2 | config))
    cluster = Cluster(
        node, settings, servers[:size], client=SessionClient, clients=clients, spares=servers[size:], seed=seed,
        own_clocks=own_clocks,
    )  # fmt: skip
    for spare in servers[size:]:
        cluster.restart(spare)
    return cluster


# State.


def leader_of(cluster: Cluster) -> Any:
    """The leader of the highest term."""
    return max((node for node in cluster.nodes() if node.role == "leader"), key=lambda node: node.term)


def terms_of(cluster: Cluster, name: NodeId) -> list[int]:
    """The terms of the entries in a node's log."""
    return [entry.term for entry in cluster.node(name).log]


def tape_of(cluster: Cluster, name: NodeId) -> list[Any]:
    return list(cluster.node(name).machine.machine.values)


def store(cluster: Cluster, name: NodeId, term: int, terms: Sequence[int], voted_for: NodeId | None = None) -> None:
    """Restarts a node with this term and a log of entries of these terms."""
    log = [Entry(each, Command(0, OPEN, b"%d" % each)) for each in terms]
    cluster.store(name, term=term, voted_for=voted_for, log=log)


# Messages of clients and administrators that the test plays itself.


def add(session: int, sequence: int, value: Any) -> Command:
    """The command that adds `value` to the tape."""
    return Command(session, sequence, Tape.command("add", None, value))


def length(operation: int) -> Query:
    """A read of the tape's length, outside the log."""
    return Query(operation, Tape.command("read", None, None))


def administer(
    cluster: Cluster, server: NodeId, operation: int, function: str, node: NodeId, by: NodeId = "admin"
) -> None:
    """An administrator's request arrives at `server`."""
    cluster.deliver(cluster.send(by, server, Administer(operation, function, node)))


# Elections.


def set_off(cluster: Cluster, name: NodeId) -> Any:
    """Has a node win an election; the messages by which it tells the others are on their way."""
    cluster.time_out(name, "start_election")
    for kind in (PreVote, PreVoted, RequestVote, Vote):
        cluster.deliver_all(kind)
    return _elected(cluster, name)


def elect(cluster: Cluster, name: NodeId) -> Any:
    """Has a node win an election and all that follows from it."""
    cluster.time_out(name, "start_election")
    cluster.stabilize()
    return _elected(cluster, name)


def _elected(cluster: Cluster, name: NodeId) -> Any:
    node = cluster.node(name)
    assert node.role == "leader", f"{name} lost its election"
    return node
