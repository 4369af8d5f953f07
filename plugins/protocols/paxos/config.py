"""What a user may set about the Synod."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from framework import Config, ConfigError, Duration, NodeId, QuorumConfig, did_you_mean


class PaxosConfig(Config):
    """Who plays which role, quorums, and how proposers wait. ValueError for durations that could never decide."""

    proposers: tuple[NodeId, ...] = ()
    """The nodes that propose; none named: all."""
    acceptors: tuple[NodeId, ...] = ()
    """The nodes that vote; none named: all."""
    learners: tuple[NodeId, ...] = ()
    """The nodes that are told what was decided; none named: all."""
    quorums: QuorumConfig = QuorumConfig()
    """Over the acceptors: phase 1 is Prepare, phase 2 is Accept."""
    learning: Literal["acceptors", "proposer"] = "acceptors"
    """What tells the learners: every acceptor, at once; or the proposer, one message delay later, in fewer messages."""
    phase_timeout: Duration = Duration("100ms")
    """A proposer that has no quorum of answers after this long begins its next ballot."""
    backoff: Literal["none", "fixed", "randomised"] = "randomised"
    """How long a proposer that has given up a refused ballot waits before its next one: not at all (duels may never
    end), `backoff_delay`, or a time drawn up to that, and up to twice as much after each further ballot given up."""
    backoff_delay: Duration = Duration("20ms")
    client_retry: Duration = Duration("300ms")
    """How long a client waits for an answer before it asks another proposer."""

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
                raise ConfigError(f"{key}.{role}", f"a node stands twice in {', '.join(named)}", "Name it once.")
        self.quorums.validate_nodes(f"{key}.quorums", self.acceptors or nodes)


def in_order(nodes: Iterable[NodeId]) -> tuple[NodeId, ...]:
    """The same order of the nodes at each of them, that of the config: n2 before n10."""
    return tuple(sorted(nodes, key=lambda node: (len(node), node)))
