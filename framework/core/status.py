"""Status: the view of a node for faults, ledgers and screens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from framework.core.errors import PluginError
from framework.core.message import Record


class HasStatus(Protocol):
    """An object with a status, such as a node."""

    @property
    def status(self) -> Status: ...


class MountStatus(Record, kw_only=True):
    """The activity of a node's mounts: the paths of the leaders of their groups, and of all members of a group."""

    leads: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Status(MountStatus):
    """The public view of a node. Protocols subclass it, with defaults, to show more; faults and the ledger read only
    these fields.

        class RaftStatus(Status):
            leader: NodeId | None = None
            commit: int = 0

    `roles` are words that faults can target (`faults.crash.target=leader`); a node may have several. `phase` is the
    current phase of the protocol, for the ledger. `term` is the epoch, if the protocol has one. `leads` and `hosts` are
    the mounts that lead their group, and that take part in one (`faults.crash.target=leader:shard-7`); left empty, they
    are read from the mounts' own statuses.
    """

    roles: tuple[str, ...] = ()
    phase: str = ""
    term: int | None = None


NOTHING_SHOWN = Status()


def reported_status(node: HasStatus) -> Status:
    """Returns the node's `status`. Raises PluginError unless it is a Status whose roles are strings."""
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


def status_of(nodes: Mapping[str, HasStatus]) -> Status:
    """Returns the status of a node, with what its mounts do. `nodes` are the node and its mounts, by path."""
    status = reported_status(nodes[""])
    if len(nodes) == 1 or status.leads or status.hosts:
        return status
    mounts = {path: reported_status(node) for path, node in nodes.items() if path}
    hosts = tuple(path for path, mounted in mounts.items() if mounted.roles)
    leads = tuple(path for path in hosts if "leader" in mounts[path].roles)
    return msgspec.structs.replace(status, leads=leads, hosts=hosts) if hosts else status


def shown(status: Status) -> dict[str, object]:
    """Returns the fields with a value to show, in declaration order: without None, empty strings and empty tuples."""
    fields = msgspec.structs.asdict(status).items()
    return {name: value for name, value in fields if value is not None and value != "" and value != ()}
