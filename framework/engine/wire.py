"""The messages of a protocol by their wire names, and their bytes.

A message is named `protocol.Class`; its bytes are msgpack arrays of its fields. Frames and trace rows carry the
message's index in `Wire.names`, which is the same in every process of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from framework.core.errors import PluginError
from framework.core.message import Message
from framework.core.node import Node
from framework.registry.specs import ProtocolSpec
from framework.trace.schema import message_shape

_INNER_MODULES = ("messages", "message", "node", "nodes", "client", "clients", "protocol", "roles")


class Wire:
    """Every message that the nodes and clients of a protocol, and what they mount, can handle."""

    def __init__(self, protocol: ProtocolSpec) -> None:
        named: dict[str, type[Message]] = {}
        for message in handled_messages(protocol):
            name = wire_name(message, protocol)
            if named.setdefault(name, message) is not message:
                raise PluginError(
                    protocol.name, f"two messages are called {name}: in {named[name].__module__} and {message.__module__}", "Rename one."
                )
        self.names: tuple[str, ...] = tuple(sorted(named))
        self.classes: tuple[type[Message], ...] = tuple(named[name] for name in self.names)
        self.index: dict[type[Message], int] = {message: index for index, message in enumerate(self.classes)}
        self.encode = msgspec.msgpack.Encoder().encode
        self.decode = tuple(msgspec.msgpack.Decoder(message).decode for message in self.classes)
        """`decode[index](bytes)`; msgspec.ValidationError or DecodeError if they are not that message."""

    def shapes(self) -> dict[str, Any]:
        """Field names by message name, for readers that lack the protocol's classes."""
        return {name: message_shape(message) for name, message in zip(self.names, self.classes, strict=True)}


def handled_messages(protocol: ProtocolSpec) -> list[type[Message]]:
    """The message classes with a handler anywhere in the protocol: node, client, and all they may mount."""
    return list(dict.fromkeys(message for node in node_classes(protocol) for message in node._handlers))


def node_classes(protocol: ProtocolSpec) -> list[type[Node]]:
    """The protocol's node and client classes and all they may mount, each once."""

    def walk(node: type[Node]) -> Iterator[type[Node]]:
        yield node
        for mounted in node.mounts:
            if mounted is not node:
                yield from walk(mounted)

    return list(dict.fromkeys([*walk(protocol.node), *walk(protocol.client)]))


def wire_name(message: type[Message], protocol: ProtocolSpec) -> str:
    """`raft.RequestVote`; what another package gives (a mounted protocol, the sessions) is named after that package."""
    home = package_of(message.__module__)
    own = home in (package_of(protocol.node.__module__), package_of(protocol.client.__module__))
    return f"{protocol.name if own else home.rpartition('.')[2]}.{message.__name__}"


def package_of(module: str) -> str:
    """The package that a protocol lives in: `plugins.protocols.raft` for `plugins.protocols.raft.messages`."""
    parent, _, leaf = module.rpartition(".")
    return parent if parent and leaf in _INNER_MODULES else module
