"""Links between nodes, one for each ordered pair. A network model makes them, and every engine uses them."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from framework.core.errors import RAISED, PluginFailed
from framework.core.message import NodeId
from framework.core.tracebacks import blaming, plugin_gave, plugin_raised


class Link(ABC):
    """One direction between two nodes. FIFO unless reordering is configured.

    `constant` is the delay in nanoseconds of a link that never loses, duplicates or varies: an engine adds it without
    calling `transmit`. It is -1 for all other links, where `transmit` decides message by message.
    """

    __slots__ = ("constant",)

    def __init__(self, constant: int = -1) -> None:
        self.constant = constant

    @abstractmethod
    def transmit(self, now: int, size: int) -> tuple[int, ...]:
        """Returns the arrival times of a message of `size` bytes sent at `now`: none if lost, two if duplicated."""


class ConstantLink(Link):
    """Delivers everything after the same delay."""

    __slots__ = ()

    def transmit(self, now: int, size: int) -> tuple[int, ...]:
        return (now + self.constant,)


class NetworkModel(ABC):
    """Makes the links of a run from its config."""

    needs_size = False
    """True if links need the size of messages (bandwidth); otherwise engines may pass 0."""
    simulated_only = False
    """True if the delays only simulate a network: an engine with a real network adds none."""

    def __init__(self, config: Any, nodes: Sequence[NodeId], clients: Sequence[NodeId]) -> None:
        self.config, self.nodes, self.clients = config, tuple(nodes), tuple(clients)

    @abstractmethod
    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        """Makes the link from `source` to `target`, with its own random stream."""

    def describe(self) -> Mapping[str, str]:
        """Returns a description of this network, such as the region of each node: texts by name. They are in
        result.json as `details.network`."""
        return {}


class Links:
    """The factory of a run's links for engines.

    Raises PluginFailed if the network model `name` raises, or returns anything but a Link.
    """

    def __init__(self, model: NetworkModel, name: str) -> None:
        self.model = model
        self._where = f"network={name}"

    def link(self, source: NodeId, target: NodeId, rng: random.Random) -> Link:
        """Makes the link from `source` to `target`, with its own random stream."""
        try:
            with blaming(self._where, "link", type(self.model)):
                link = self.model.link(source, target, rng)
        except PluginFailed as error:
            if error.where == self._where:
                raise
            raise PluginFailed(self._where, f"{error.where}.{error.what}", error.fix) from error
        if not isinstance(link, Link):
            raise plugin_gave(self._where, "link", link, "a Link", type(self.model).link)
        constant = getattr(link, "constant", None)
        if not isinstance(constant, int) or constant < -1:
            wanted = "a Link whose `constant` is a delay in nanoseconds, or -1 as super().__init__() sets it"
            raise plugin_gave(self._where, "link", link, wanted, type(link))
        link.constant = int(constant)
        return link

    def transmit(self, link: Link, now: int, size: int) -> tuple[int, ...]:
        """Returns the arrival times (ns) of a message of `size` bytes that enters `link` at `now`: none if it is lost,
        two if it is duplicated. Raises PluginFailed if the link raises or does not return a tuple."""
        try:
            arrivals = link.transmit(now, size)
        except PluginFailed as error:  # which names a part of the link
            raise PluginFailed(self._where, f"{error.where}.{error.what}", error.fix) from error
        except MemoryError:
            raise
        except RAISED as error:
            raise plugin_raised(self._where, "transmit", error, type(link)) from error
        if type(arrivals) is not tuple:
            raise plugin_gave(self._where, "transmit", arrivals, "a tuple of times", type(link).transmit)
        for at in arrivals:
            if type(at) is not int or at < now:
                wanted = f"a tuple of integers from {now} on, the time of sending in nanoseconds"
                raise plugin_gave(self._where, "transmit", arrivals, wanted, type(link).transmit)
        return arrivals
