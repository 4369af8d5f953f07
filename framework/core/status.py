"""Status: what a node shows of itself to faults, ledgers and screens."""

from __future__ import annotations

from typing import Protocol

from framework.core.errors import PluginError
from framework.core.message import Record


class HasStatus(Protocol):
    """A node, as far as its status goes."""

    @property
    def status(self) -> Status: ...


class Status(Record):
    """What a node shows of itself. Protocols subclass it, with defaults, to show more; faults and the ledger read these
    fields only.

        class RaftStatus(Status):
            leader: NodeId | None = None
            commit: int = 0

    `roles` are words that faults may aim at (`faults.crash.target=leader`); a node may have several. `phase` is the part of
    the protocol that it is in, for the ledger. `term` is its epoch, where the protocol has one.
    """

    roles: tuple[str, ...] = ()
    phase: str = ""
    term: int | None = None


NOTHING_SHOWN = Status()


def reported_status(node: HasStatus) -> Status:
    """The node's `status`, for all who show it or act on it. PluginError unless it is a Status with texts for roles."""
    status = node.status
    name = type(node).__qualname__
    if not isinstance(status, Status):
        raise PluginError(
            f"{name}.status",
            f"gives {type(status).__name__}",
            'Return Status(roles=("leader",), term=3), or a subclass of Status.',
        )
    if not isinstance(status.roles, tuple) or not all(isinstance(role, str) for role in status.roles):
        raise PluginError(f"{name}.status", f"has roles={status.roles!r}", 'Give a tuple of texts: roles=("leader",).')
    return status


def shown(status: Status) -> dict[str, object]:
    """The fields that have something to show, in the order of their declaration: no None, no empty text or tuple."""
    fields = {name: getattr(status, name) for name in status.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not None and value != "" and value != ()}
