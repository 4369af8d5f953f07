"""The path of messages between two nodes: the network's link first, then the link faults in force."""

from __future__ import annotations

from collections.abc import Sequence

from framework.core.message import NodeId
from framework.engine.tally import Tally
from framework.faults.link_faults import LinkFaults
from framework.network.model import Link, Links


class NetworkPath:
    """The path between nodes, for messages whose delay is not constant. `names` are the wire's message names."""

    def __init__(self, links: Links, link_faults: LinkFaults, tally: Tally, names: Sequence[str]) -> None:
        self._links, self._link_faults, self._tally, self._names = links, link_faults, tally, names

    def arrivals(
        self, link: Link | None, source: NodeId, to: NodeId, now: int, size: int, index: int
    ) -> tuple[tuple[int, ...], str]:
        """Returns the arrival times of a message's copies; if there are none, also the reason why it is lost.

        Counts copies beyond the first. Without a link, only link faults delay or drop the message. `index` is the
        message's index on the wire.
        """
        faults = self._link_faults
        if link is None:
            arrivals: tuple[int, ...] = (now,)
        else:
            arrivals = (now + link.constant,) if link.constant >= 0 else self._links.transmit(link, now, size)
        if faults.active and arrivals:
            arrivals = faults.transmit((source, to), now, arrivals)
        if not arrivals:
            return arrivals, "cut" if faults.active and faults.cut((source, to)) else "lost"
        if len(arrivals) > 1:
            self._tally.duplicate(self._names[index], len(arrivals) - 1)
        return arrivals, ""
