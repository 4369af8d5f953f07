"""Addresses of nodes and mounts, and routes of messages.

An address is a node's name, which means the mount that the sender itself has on that node, or `NODE/PATH`, which means
the mount PATH: `n2/shard-7`, and `n2/` for the node itself. A route is what travels with a message: the receiver's
mount path, followed by the sender's if the two differ.
"""

from __future__ import annotations

from typing import TypeAlias

from framework.core.message import NodeId

Address: TypeAlias = str
"""`n2` is the sender's own mount on n2, `n2/shard-7` a mount of n2, `n2/` the node n2 itself."""

PATH_BYTES = 255
"""The maximum length of a mount path, in bytes of UTF-8."""

_SEPARATOR = "\0"  # in no mount path


def address(node: NodeId, mount: str) -> Address:
    """Returns the address of a mount of `node`; of the node itself for ""."""
    return f"{node}/{mount}"


def is_mount_path(path: object) -> bool:
    """Returns whether a node can have a mount of this path; "" is the node itself."""
    return isinstance(path, str) and _SEPARATOR not in path and len(path.encode()) <= PATH_BYTES


def is_within(path: str, mount: str) -> bool:
    """Returns whether `path` is the mount `mount` or one below it."""
    return path == mount or path.startswith(f"{mount}/")


def below(path: str, name: str) -> str:
    """Returns the path of the mount `name` of the node at `path`."""
    return f"{path}/{name}" if path else name


def split_address(to: Address) -> tuple[NodeId, str | None]:
    """Returns the node and the mount path of an address; None if it names no mount."""
    node, slash, mount = to.partition("/")
    return node, mount if slash else None


def route_to(mount: str, path: str) -> str:
    """Returns the route of a message from the mount `path` of its sender to the mount `mount` of its receiver."""
    return path if mount == path else f"{mount}{_SEPARATOR}{path}"


def split_route(route: str) -> tuple[str, str]:
    """Returns the mount path of the receiver, and that of the sender."""
    mount, differs, path = route.partition(_SEPARATOR)
    return (mount, path) if differs else (route, route)


def sender_of(sender: NodeId, mount: str, path: str) -> Address:
    """Returns the address of a message's sender, at its mount `path`, as the receiving mount `mount` sees it."""
    return sender if mount == path else f"{sender}/{path}"
