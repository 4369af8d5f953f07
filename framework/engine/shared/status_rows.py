"""Status rows: what a node shows of itself, recorded as it changes."""

from __future__ import annotations

from typing import Any

from framework.core.node import Node
from framework.core.status import shown
from framework.core.time import MILLISECOND, NEVER
from framework.engine.shared.node_life import HostedNode, NodeLife, RecordingPorts
from framework.trace.schema import EventKind

EVERY = 10 * MILLISECOND
"""The longest time for which a node that takes steps is not looked at, and the shortest between two rows that tell
nothing but higher numbers."""


class StatusRows:
    """Records changes of the nodes' statuses; the first row of an incarnation has all that is set.

    An engine calls `look` after a batch if the node's `look_at` has come. It sets `look_at` to 0 where a change is
    likely: a timer fired, a note was made. So a change by a message alone is recorded up to `EVERY` late, and the many
    batches that change nothing cost one comparison.
    """

    def __init__(self, life: NodeLife, ports: RecordingPorts) -> None:
        self._life, self._ports = life, ports

    def look(self, node: HostedNode, now: int, cause: int) -> None:
        """Writes a row with the fields that have changed, if any; `cause` is the batch's last step."""
        node.look_at = now + EVERY
        status = self._life.status(node)
        if status is None:
            return
        fields, before = shown(status), node.shown
        if fields == before:
            if not fields and _shows_nothing(node):
                node.look_at = NEVER
            return
        changed: dict[str, Any] = {
            name: value for name, value in fields.items() if name not in before or before[name] != value
        }
        changed.update((name, None) for name in before if name not in fields)
        if now < node.shown_at + EVERY and all(_has_grown(before.get(name), value) for name, value in changed.items()):
            return
        node.shown, node.shown_at = fields, now
        self._ports.record(EventKind.STATUS, now, cause, node, fields=changed)


def _shows_nothing(node: HostedNode) -> bool:
    """Returns whether neither the node nor a mount of it defines a status."""
    return node.runtime is not None and all(type(each).status is Node.status for each in node.runtime.nodes.values())


def _has_grown(before: object, value: object) -> bool:
    return isinstance(before, int | float) and isinstance(value, int | float) and value > before
