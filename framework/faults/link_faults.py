"""The effects of faults on links, in addition to the network's own. Every engine uses this module."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from framework.faults.actions import Impairment, LinkName


class TouchedCount:
    """The number of messages that passed an impairment, and how many of them it touched."""

    __slots__ = ("passed", "touched")

    def __init__(self) -> None:
        self.passed = self.touched = 0


class LinkFaults:
    """The impairments in force. `stream` returns a link's own random stream for them.

    An engine calls `transmit` for each message while `active`; otherwise no link is impaired. Links stay FIFO except
    for reordered messages, even when a delay ends: a later message never overtakes a delayed one.
    """

    __slots__ = ("_last", "_links", "_rngs", "_stream", "active", "touched_counts")

    def __init__(self, stream: Callable[[LinkName], random.Random]) -> None:
        self.active = False
        self.touched_counts: dict[int, TouchedCount] = {}  # by token; kept after the end
        self._stream = stream
        self._rngs: dict[LinkName, random.Random] = {}
        self._links: dict[LinkName, dict[int, Impairment]] = {}
        self._last: dict[LinkName, int] = {}  # the latest arrival on each delayed link

    def impair(self, token: int, links: Iterable[LinkName], impairment: Impairment) -> None:
        """Applies `impairment` to `links` from now on."""
        self.touched_counts.setdefault(token, TouchedCount())
        for link in links:
            self._links.setdefault(link, {})[token] = impairment
        self.active = bool(self._links or self._last)

    def restore(self, token: int) -> None:
        """Ends the impairment `token`. Does nothing if it is over already."""
        for link in [link for link, tokens in self._links.items() if token in tokens]:
            del self._links[link][token]
            if not self._links[link]:
                del self._links[link]
        self.active = bool(self._links or self._last)

    def cut(self, link: LinkName) -> bool:
        """Returns whether the link is cut now."""
        return any(impairment.cut for impairment in self._links.get(link, {}).values())

    def transmit(self, link: LinkName, now: int, arrivals: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the arrival times of a message that the network would deliver at `arrivals`; empty if it is lost."""
        tokens = self._links.get(link)
        if tokens is None:
            return self._behind(link, now, arrivals) if link in self._last else arrivals
        rng = self._rngs.get(link)
        if rng is None:
            rng = self._rngs[link] = self._stream(link)
        overtakes = False
        for token, impairment in tokens.items():
            if not arrivals:  # lost already
                break
            count = self.touched_counts[token]
            count.passed += 1
            before = arrivals
            if impairment.cut or (impairment.loss and rng.random() < impairment.loss):
                arrivals = ()
            if impairment.delay:
                arrivals = tuple(at + impairment.delay for at in arrivals)
            if impairment.duplicate and rng.random() < impairment.duplicate:
                arrivals = (*arrivals, *(at + 1 + rng.randrange(impairment.spread + 1) for at in arrivals[:1]))
            if impairment.reorder and rng.random() < impairment.reorder:
                overtakes = True
                arrivals = tuple(at + rng.randrange(impairment.spread + 1) for at in arrivals)
            count.touched += arrivals != before
        return arrivals if overtakes else self._behind(link, now, arrivals)

    def _behind(self, link: LinkName, now: int, arrivals: tuple[int, ...]) -> tuple[int, ...]:
        """Postpones `arrivals` to keep the link FIFO: not before any earlier message."""
        last = self._last.get(link, 0)
        arrivals = tuple(max(at, last) for at in arrivals)
        latest = max((last, *arrivals))
        if latest > now:
            self._last[link] = latest
        elif link in self._last and link not in self._links:
            del self._last[link]
            self.active = bool(self._links or self._last)
        return arrivals
