"""Settings of the Synod."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from framework import Config, ConfigError, Duration, NodeId, QuorumConfig, did_you_mean


class PaxosConfig(Config):
    """Roles, quorums and timing. Raises ValueError for durations that could never decide."""

    proposers: tuple[NodeId, ...] = ()
    """Nodes that propose; empty: all."""
    acceptors: tuple[NodeId, ...] = ()
    """Nodes that vote; empty: all."""
    learners: tuple[NodeId, ...] = ()
    """Nodes that learn decisions; empty: all."""
    quorums: QuorumConfig = QuorumConfig()
    """Quorums of acceptors; phase 1 is Prepare, phase 2 is Accept."""
    learning: Literal["acceptors", "proposer"] = "acceptors"
    """`acceptors`: every acceptor informs the learners at once. `proposer`: the proposer does, one message delay later
    and with fewer messages."""
    phase_timeout: Duration = Duration("100ms")
    """Time after which a proposer without a quorum of answers begins its next ballot."""
    backoff: Literal["none", "fixed", "randomised"] = "randomised"
    """Wait of a proposer between abandoning a refused ballot and its next one. `none`: no wait (duels may never end).
    `fixed`: `backoff_delay`. `randomised`: a random time up to `backoff_delay`, doubled after each further ballot
    abandoned."""
    backoff_delay: Duration = Duration("20ms")
    client_retry: Duration = Duration("300ms")
    """Time that a client waits for an answer before it asks another proposer."""

    def __post_init__(self) -> None:
        for name in ("phase_timeout", "backoff_delay", "client_retry"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} leaves no time for an answer: give more than 0")

    def validate_nodes(self, key: str, nodes: tuple[NodeId, ...]) -> None:
        for role in ("proposers", "acceptors", "learners"):
            named = getattr(self, role)
            for node in named:
                if node not in nodes:
                    raise ConfigError(f"{key}.{role}", f"there is no node {node!r}", did_you_mean(node, nodes))
            if len(set(named)) < len(named):
                raise ConfigError(f"{key}.{role}", f"a node is named twice in {', '.join(named)}", "Name it once.")
        self.quorums.validate_nodes(f"{key}.quorums", self.acceptors or nodes)


def in_order(nodes: Iterable[NodeId]) -> tuple[NodeId, ...]:
    """Returns the nodes in the order of the config (n2 before n10), which is the same at each of them."""
    return tuple(sorted(nodes, key=lambda node: (len(node), node)))
