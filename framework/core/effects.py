"""Effects: everything a step may ask its engine to do. `step` is the number of the step that caused the effect."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from framework.core.message import Message, NodeId


class Send(msgspec.Struct, frozen=True, gc=False):
    """A message to the mount `path` of the node `to`."""

    to: NodeId
    path: str
    message: Message
    step: int = -1


class Multicast(msgspec.Struct, frozen=True, gc=False):
    """The same message to each of `to`, in that order."""

    to: tuple[NodeId, ...]
    path: str
    message: Message
    step: int = -1


class Note(msgspec.Struct, frozen=True, gc=False):
    """A domain event of the mount `path`, for the trace."""

    name: str
    fields: dict[str, Any]
    path: str
    step: int = -1


class Complete(msgspec.Struct, frozen=True, gc=False):
    """The end of a client's operation."""

    operation: int
    outcome: Any
    step: int = -1


Effect: TypeAlias = Send | Multicast | Note | Complete
