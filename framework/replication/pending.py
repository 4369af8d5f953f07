"""Requests that wait for their commands to be executed.

    if self.pending.is_under_way(request.operation, command.sequence):
        return  # a retry
    self.pending.begin(request.operation, command.sequence)
    index = self.log.append(Entry(self.term, command))
    self.pending.place(index, PendingRequest(sender, request.operation, command.sequence))
    ...
    request = self.pending.finish(index)     # when the entry at `index` is applied

A leader that is deposed forgets them all: their clients ask again under the same sequence number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from framework.core.client import OperationId
from framework.core.message import NodeId, Record


class PendingRequest(Record):
    """The client to answer, and which of its operations and attempts asked."""

    client: NodeId
    operation: OperationId
    sequence: int


R = TypeVar("R", bound=PendingRequest)


@dataclass(slots=True)
class PendingRequests(Generic[R]):
    """The requests that a leader has taken and not yet answered, and the log index (or slot) where each command stands."""

    placed: dict[int, R] = field(default_factory=dict)
    """By the index of the command. A request that is taken and not placed yet is in `under_way` alone."""
    under_way: set[tuple[OperationId, int]] = field(default_factory=set)
    """Operation and sequence of every request that is taken and not answered."""

    def begin(self, operation: OperationId, sequence: int) -> None:
        """Takes a request that is not under way."""
        self.under_way.add((operation, sequence))

    def is_under_way(self, operation: OperationId, sequence: int) -> bool:
        return (operation, sequence) in self.under_way

    def place(self, index: int, request: R) -> None:
        """Records that the request's command stands at `index`."""
        self.placed[index] = request

    def finish(self, index: int) -> R | None:
        """Removes and returns the request whose command stands at `index`; None if nobody waits for that."""
        request = self.placed.pop(index, None)
        if request is not None:
            self.under_way.discard((request.operation, request.sequence))
        return request

    def clear(self) -> None:
        self.placed.clear()
        self.under_way.clear()

    def keep(self, placed: dict[int, R], taken: Iterable[tuple[OperationId, int]]) -> None:
        """Keeps only the requests `placed`, and those `taken` and not placed yet, by operation and sequence."""
        self.placed = placed
        self.under_way = {(each.operation, each.sequence) for each in placed.values()} | set(taken)
