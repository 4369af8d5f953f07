"""Status rows: what a node shows of itself, recorded as it changes."""

from __future__ import annotations

from typing import Any

from framework.core.errors import PluginError, Unrecordable
from framework.core.node import Node
from framework.core.status import shown
from framework.core.time import MILLISECOND, NEVER
from framework.engine.shared.node_life import HostedNode, NodeLife, RecordingPorts
from framework.trace.schema import EventKind, as_json

EVERY = 10 * MILLISECOND
"""The shortest time between two looks at a node's status, unless a change is likely."""

_SCALARS = (int, float, str, bool, type(None))


class StatusRows:
    """Records changes of the nodes' statuses; the first row of an incarnation has all that is set.

    After each batch an engine calls `look` if the node's `look_at` has come, and otherwise sees to it that `look` is
    called then (`look_is_due` says that it does). It sets `look_at` to 0 where a change is likely: a timer fired, a
    note was made. So a change by a message alone is recorded up to `EVERY` late, two changes within that time may be
    recorded as one, and the many batches that change nothing cost one comparison.
    """

    def __init__(self, life: NodeLife, ports: RecordingPorts) -> None:
        self._life, self._ports = life, ports

    def look(self, node: HostedNode, now: int, cause: int, *, last: bool = False) -> bool:
        """Writes a row with the fields that have changed, if any; `cause` is the batch's last step. Higher numbers
        alone wait until `EVERY` after the row before, but for the `last` look. Returns whether they do: `look` is to be
        called again at `look_at`, whether or not there is a batch until then.

        A status that raises, or cannot be recorded, stops its node, whether there is a trace or not.
        """
        node.look_at, node.look_is_due = now + EVERY, False
        status = self._life.status(node)
        if status is None:
            return False
        fields, before = shown(status), node.shown
        if not fields and not before:
            if _shows_nothing(node):
                node.look_at = NEVER
            return False
        try:
            told = {name: value if type(value) in _SCALARS else as_json(value) for name, value in fields.items()}
            if told == before:
                return False
            changed: dict[str, Any] = {
                name: fields[name] for name, value in told.items() if name not in before or before[name] != value
            }
            changed.update((name, None) for name in before if name not in told)
            payload = as_json(changed)
        except Unrecordable as error:
            raised = PluginError(
                f"{node.node_class.__qualname__}.status", str(error).replace("noted or answered", "shows")
            )
            self._life.raised(node, raised)
            return False
        waits = now < node.shown_at + EVERY and not last
        if waits and all(_has_grown(before.get(name), value) for name, value in changed.items()):
            node.look_at = node.shown_at + EVERY
            return True
        node.shown, node.shown_at = told, now
        self._ports.record(EventKind.STATUS, now, cause, node, payload=payload)
        return False


def _shows_nothing(node: HostedNode) -> bool:
    """Returns whether neither the node nor a mount of it defines a status."""
    return node.runtime is not None and all(type(each).status is Node.status for each in node.runtime.nodes.values())


def _has_grown(before: object, value: object) -> bool:
    return isinstance(before, int | float) and isinstance(value, int | float) and value > before
