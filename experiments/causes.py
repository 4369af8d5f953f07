"""The events of a trace by what caused them.

Each event names the one event whose handler produced it, so that the events of an operation are a tree with its
invocation at the root, and each of them has one path back to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Event = Mapping[str, Any]


class Trees:
    """The events of a trace by the operation that caused them. `apart` are those that none did."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events: dict[int, Event] = {}
        self.roots: dict[int, list[Event]] = {}
        self.apart: list[Event] = []
        origin: dict[int, int] = {}
        for event in events:  # a cause stands before what it caused
            seq = event["seq"]
            self.events[seq] = event
            root = seq if event["kind"] == "invoke" else origin.get(event["cause"])
            if root is None:
                self.apart.append(event)
            else:
                origin[seq] = root
                self.roots.setdefault(root, []).append(event)

    def path(self, event: Event) -> list[Event]:
        """Returns the deliveries between two nodes that led to `event`, the last one first."""
        found = []
        while event["cause"] is not None:
            event = self.events[event["cause"]]
            if event["kind"] == "deliver" and event["node"] != event["peer"]:
                found.append(event)
        return found


def is_sent(event: Event) -> bool:
    """Returns whether an event is a message to another node. What a node sends to itself does not count."""
    return bool(event["kind"] == "send" and event["node"] != event["peer"])
