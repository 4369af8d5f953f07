"""Settings of Paxos Commit: the number of acceptors, where they are, and time-outs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from framework import CommitConfig, ConfigError, Duration, NodeId, Transaction, coordinator_of

ACCEPTOR = "acceptor"
"""The role of nodes that do nothing but accept."""


class PaxosCommitConfig(CommitConfig):
    """Faults to tolerate, the place of leaders and acceptors, and time-outs."""

    faults: Annotated[int, Meta(ge=0)] = 1
    """F: the number of acceptors that may fail. There are 2F+1 of them, and F+1 choose."""
    acceptors: Literal["separate", "participants", "coordinators"] = "participants"
    """Where the acceptors are. `separate`: on 2F+1 nodes of their own. `participants`, `coordinators`: on the first
    2F+1 of these. If there are fewer, but at least F+1, the others count as failed."""
    coordinators: Annotated[int, Meta(ge=0)] = 0
    """Number of nodes that do nothing but lead transactions; 0: a transaction's participants lead it, the first one
    unless it fails."""
    faster: bool = False
    """Faster Paxos Commit: acceptors send their votes to the participants, which see for themselves what is decided:
    one message delay less, and more messages."""
    bundle_timeout: Duration = Duration("20ms")
    """Time that an acceptor waits for the votes of all participants before it accepts those that it has."""
    widen_timeout: Duration = Duration("40ms")
    """Time after which a participant without a decision sends its vote to all acceptors instead of F+1."""
    inquiry_timeout: Duration = Duration("150ms")
    """Time that a prepared participant waits after that before it asks a leader, and between its questions."""
    vote_timeout: Duration = Duration("150ms")
    """Time that a leader waits for the votes of all participants before it begins a ballot of its own."""
    phase_timeout: Duration = Duration("100ms")
    """Time after which a leader whose ballot has not decided begins its next one."""
    backoff: Duration = Duration("20ms")
    """Longest wait of a leader between a refused ballot and its next one; the wait is random, and doubles each time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            "bundle_timeout", "widen_timeout", "inquiry_timeout", "vote_timeout", "phase_timeout", "backoff",
        ):  # fmt: skip
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} leaves no time for an answer: give more than 0")
        if self.acceptors == "coordinators" and self.coordinators < self.quorum:
            what = f"acceptors=coordinators with faults={self.faults} needs {self.quorum} coordinators or more"
            raise ValueError(f"{what}, not {self.coordinators}")

    def validate_nodes(self, key: str, nodes: tuple[NodeId, ...]) -> None:
        participants = len(nodes) - self.coordinators - self.dedicated_acceptors
        if self.acceptors == "participants" and participants < self.quorum:
            raise ConfigError(
                f"{key}.acceptors",
                f"faults={self.faults} takes {self.quorum} acceptors at least, and there are {participants} participants",
                f"Write nodes={len(nodes) + self.quorum - participants}, or {key}.faults={max(participants - 1, 0)}.",
            )

    @property
    def quorum(self) -> int:
        """Returns the number of acceptors that choose: F+1."""
        return self.faults + 1

    @property
    def dedicated_acceptors(self) -> int:
        """Returns the number of nodes that only accept."""
        return 2 * self.faults + 1 if self.acceptors == "separate" else 0


def leaders_of(transaction: Transaction, coordinators: tuple[NodeId, ...]) -> tuple[NodeId, ...]:
    """Returns the nodes that may lead a transaction, in the order in which they are asked."""
    if not coordinators:
        return transaction.participants
    first = coordinators.index(coordinator_of(transaction, coordinators))
    return (*coordinators[first:], *coordinators[:first])
