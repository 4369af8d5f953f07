"""The messages of a protocol, and their wire names: `protocol.Class`."""

from __future__ import annotations

from framework.core.errors import PluginError
from framework.core.message import Event, Message
from framework.core.node import Node
from framework.registry.specs import ProtocolSpec
from framework.replication.administration import Administrator

_INNER_MODULES = ("messages", "message", "node", "nodes", "client", "clients", "protocol", "roles")


def named_messages(protocol: ProtocolSpec) -> dict[str, type[Message]]:
    """Returns every message that the protocol handles, by wire name. Raises PluginError if two share a name."""
    named: dict[str, type[Message]] = {}
    for message in handled_messages(protocol):
        name = wire_name(message, protocol)
        if named.setdefault(name, message) is not message:
            homes = f"in {named[name].__module__} and {message.__module__}"
            raise PluginError(protocol.name, f"two messages are called {name}: {homes}", "Rename one.")
    return named


def handled_messages(protocol: ProtocolSpec) -> list[type[Message]]:
    """Returns the message classes with a handler anywhere in the protocol: node, client, and all they may mount. Events
    are not among them: they are never sent."""
    handled = (message for node in node_classes(protocol) for message in node._handlers)
    return list(dict.fromkeys(message for message in handled if not issubclass(message, Event)))


def node_classes(protocol: ProtocolSpec) -> list[type[Node]]:
    """Returns the protocol's node and client classes and all they may mount, each once; and the administrator's."""
    return [*protocol.node_classes, *([Administrator] if protocol.administration else [])]


def wire_name(message: type[Message], protocol: ProtocolSpec) -> str:
    """Returns the wire name, such as `raft.RequestVote`. Messages of another package (a mounted protocol) are named
    after that package.

    Messages of the framework, such as those of sessions, count as the protocol's own.
    """
    home = package_of(message.__module__)
    own = home in (package_of(protocol.node.__module__), package_of(protocol.client.__module__))
    own = own or home.startswith("framework.")
    return f"{protocol.name if own else home.rpartition('.')[2]}.{message.__name__}"


def package_of(module: str) -> str:
    """Returns the package of a protocol: `plugins.protocols.raft` for `plugins.protocols.raft.messages`."""
    parent, _, leaf = module.rpartition(".")
    return parent if parent and leaf in _INNER_MODULES else module
