"""The messages of a protocol by their wire names, and their bytes.

A message is named `protocol.Class`; its bytes are msgpack arrays of its fields. Frames and trace rows carry the
message's index in `Wire.names`, which is the same in every process of a run.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from framework.core.client import OperationId
from framework.core.errors import PluginError
from framework.core.message import Event, Message
from framework.registry.messages import named_messages
from framework.registry.specs import ProtocolSpec
from framework.trace.schema import message_shape

MESSAGE_BYTES = 64 << 20
"""The longest message."""

TRIES = 100
"""Number of messages of each type that are checked before they leave."""

_WHERE = re.compile(r"(?P<what>.*) - at `\$\[(?P<field>\d+)\](?P<within>.*)`")


class Wire:
    """Every message that the nodes and clients of a protocol, and their mounts, can handle."""

    def __init__(self, protocol: ProtocolSpec) -> None:
        named = named_messages(protocol)
        self.names: tuple[str, ...] = tuple(sorted(named))
        self.classes: tuple[type[Message], ...] = tuple(named[name] for name in self.names)
        self.index: dict[type[Message], int] = {message: index for index, message in enumerate(self.classes)}
        self.encode = msgspec.msgpack.Encoder(order="deterministic").encode  # a frozenset's order varies by process
        self.decode = tuple(msgspec.msgpack.Decoder(message).decode for message in self.classes)
        """`decode[index](bytes)`. Raises msgspec.ValidationError or DecodeError if the bytes are not that message."""
        self.has_operation: tuple[bool, ...] = tuple(_has_operation(message) for message in self.classes)
        """`has_operation[index]`: whether the message has an `operation`: a field of the type OperationId, or a
        property."""
        self.tried: dict[type[Message], int] = {}
        """The index of each message that `index_of` has checked often enough."""
        self._tries = dict.fromkeys(self.classes, TRIES)

    def index_of(self, message: Message, sender: type) -> int:
        """Returns the index of a message that `sender` is about to send, for messages not in `tried`. Raises
        PluginError as `check` does."""
        index, _ = self.check(message, sender)
        kind = self.classes[index]
        self._tries[kind] -= 1
        if self._tries[kind] <= 0:
            self.tried[kind] = index
        return index

    def check(self, message: Message, sender: type) -> tuple[int, bytes]:
        """Returns the index of a message and its bytes. Raises PluginError if no node or client handles it, it cannot
        be encoded, or the receiver could not decode it."""
        kind = type(message)
        index = self.index.get(kind, -1)
        if index < 0 and issubclass(kind, Event):
            raise PluginError(
                sender.__qualname__, f"sends {kind.__qualname__}, an event, which only tell() can pass on",
                "Derive it from Message.",
            )  # fmt: skip
        if index < 0:
            raise PluginError(
                sender.__qualname__, f"sends {kind.__qualname__}, which no node or client handles",
                f"Write @handles({kind.__name__}) where it is received.",
            )  # fmt: skip
        payload = self.pack(message, sender)
        try:
            self.decode[index](payload)
        except msgspec.ValidationError as error:
            raise PluginError(
                sender.__qualname__, f"sends {self.misfit(index, error)}", "Give the field values of its type."
            ) from error
        return index, payload

    def pack(self, message: Message, sender: type) -> bytes:
        """Returns the bytes of a message. Raises PluginError if msgpack cannot encode it, or it is too long."""
        try:
            payload = self.encode(message)
        except Exception as error:  # OverflowError, TypeError, or anything that a value raises
            raise PluginError(
                sender.__qualname__,
                f"sends a message {type(message).__name__} that msgpack cannot carry ({error})",
                "Give its fields values of their types; an int has 64 bits at the most.",
            ) from error
        if len(payload) > MESSAGE_BYTES:
            raise PluginError(
                sender.__qualname__,
                f"sends a message {type(message).__name__} of {len(payload):,} bytes; the longest message has {MESSAGE_BYTES:,}",
                "Send it in parts.",
            )
        return payload

    def misfit(self, index: int, error: msgspec.ValidationError) -> str:
        """Describes an invalid message: `a message Vote whose field term does not fit: expected int, got str`."""
        message, told = self.classes[index], str(error).replace("`", "")
        found = _WHERE.fullmatch(str(error))
        if found is None:
            return f"a message {message.__name__} that does not fit: {told}"
        field = message.__struct_fields__[int(found["field"])] + found["within"]
        what = found["what"].replace("`", "")
        return f"a message {message.__name__} whose field {field} does not fit: {what[:1].lower()}{what[1:]}"

    def operation_of(self, index: int, message: Any) -> int | None:
        """The operation that a message belongs to; None without a message, or if its class has no such field."""
        return message.operation if message is not None and self.has_operation[index] else None

    def shapes(self) -> dict[str, Any]:
        """Returns field names by message name, for readers that lack the protocol's classes."""
        return {name: message_shape(message) for name, message in zip(self.names, self.classes, strict=True)}


@cache
def _has_operation(message: type[Message]) -> bool:
    if isinstance(getattr(message, "operation", None), property):
        return True
    return any(field.name == "operation" and field.type is OperationId for field in msgspec.structs.fields(message))
