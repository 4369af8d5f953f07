"""What stands between two nodes: a link for each ordered pair, made by a network model, used by every engine."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from framework.core.message import NodeId


class Link(ABC):
    """One direction between two nodes. FIFO unless reordering is asked for.

    `constant` is a delay in nanoseconds for links that never lose, repeat or vary: an engine adds it without asking.
    It is -1 for all others, whose `transmit` decides message by message.
    """

    __slots__ = ("constant",)

    def __init__(self, constant: int = -1) -> None:
        self.constant = constant

    @abstractmethod
    def transmit(self, now: int, size: int) -> tuple[int, ...]:
        """When a message of `size` bytes sent at `now` arrives: no time if it is lost, two if it is duplicated."""


class ConstantLink(Link):
    """Delivers everything after the same delay."""

    __slots__ = ()

    def transmit(self, now: int, size: int) -> tuple[int, ...]:
        return (now + self.constant,)


class NetworkModel(ABC):
    """Makes the links of a run from its config."""

    needs_size = False
    """True if a link asks for the size of messages (bandwidth); else engines may pass 0."""
    simulated_only = False
    """True if the delays only stand for a network of some kind: an engine that has a real one adds nothing to it."""

    def __init__(self, config: Any, nodes: Sequence[NodeId], clients: Sequence[NodeId]) -> None:
        self.config, self.nodes, self.clients = config, tuple(nodes), tuple(clients)

    @abstractmethod
    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        """The link from `source` to `target`, with the random stream that belongs to it alone."""

    def describe(self) -> Mapping[str, str]:
        """What this network is, for the run's record: region of each node, and the like."""
        return {}
