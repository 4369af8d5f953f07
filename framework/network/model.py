"""What stands between two nodes: a link for each ordered pair, made by a network model, used by every engine."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from framework.core.errors import RAISED
from framework.core.message import NodeId
from framework.core.tracebacks import blaming, plugin_gave, plugin_raised


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


class Links:
    """The links of a run, as an engine asks for them: PluginFailed if the network model, which is called `name`, raises
    or gives none."""

    def __init__(self, model: NetworkModel, name: str) -> None:
        self.model = model
        self._where = f"network={name}"

    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        """The link from `source` to `target`, with the random stream that belongs to it alone."""
        with blaming(self._where, "link", type(self.model)):
            link = self.model.link(source, target, rng)
        if not isinstance(link, Link):
            raise plugin_gave(self._where, "link", link, "a Link", type(self.model).link)
        return link

    def transmit(self, link: Link, now: int, size: int) -> tuple[int, ...]:
        """Returns the arrival times (ns) of a message of `size` bytes that enters `link` at `now`: none if it is lost,
        two if it is duplicated. PluginFailed if the link raises or returns no tuple."""
        try:
            arrivals = link.transmit(now, size)
        except MemoryError:
            raise
        except RAISED as error:
            raise plugin_raised(self._where, "transmit", error, type(link)) from error
        if type(arrivals) is not tuple:
            raise plugin_gave(self._where, "transmit", arrivals, "a tuple of times", type(link).transmit)
        return arrivals
