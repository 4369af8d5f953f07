"""The messages of a protocol by their wire names, and their bytes.

A message is named `protocol.Class`; its bytes are msgpack arrays of its fields. Frames and trace rows carry the
message's index in `Wire.names`, which is the same in every process of a run.
"""

from __future__ import annotations

from typing import Any

import msgspec

from framework.core.message import Message
from framework.registry.messages import named_messages
from framework.registry.specs import ProtocolSpec
from framework.trace.schema import message_shape


class Wire:
    """Every message that the nodes and clients of a protocol, and what they mount, can handle."""

    def __init__(self, protocol: ProtocolSpec) -> None:
        named = named_messages(protocol)
        self.names: tuple[str, ...] = tuple(sorted(named))
        self.classes: tuple[type[Message], ...] = tuple(named[name] for name in self.names)
        self.index: dict[type[Message], int] = {message: index for index, message in enumerate(self.classes)}
        self.encode = msgspec.msgpack.Encoder(order="deterministic").encode  # a frozenset's order is the process's own
        self.decode = tuple(msgspec.msgpack.Decoder(message).decode for message in self.classes)
        """`decode[index](bytes)`; msgspec.ValidationError or DecodeError if they are not that message."""

    def shapes(self) -> dict[str, Any]:
        """Field names by message name, for readers that lack the protocol's classes."""
        return {name: message_shape(message) for name, message in zip(self.names, self.classes, strict=True)}
