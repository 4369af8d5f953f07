"""Requests that wait for their commands to be executed.

    if self.pending.is_under_way(request.operation, command.sequence):
        return  # a retry
    self.pending.begin(request.operation, command.sequence)
    index = self.log.append(Entry(self.term, command))
    self.pending.place(index, PendingRequest(sender, request.operation, command.sequence))
    ...
    request = self.pending.finish(index)     # when the entry at `index` is applied

A deposed leader forgets them all: their clients retry under the same sequence numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from framework.core.client import OperationId
from framework.core.message import NodeId, Record


class PendingRequest(Record):
    """The client to answer, and its operation and sequence number."""

    client: NodeId
    operation: OperationId
    sequence: int


R = TypeVar("R", bound=PendingRequest)


@dataclass(slots=True)
class PendingRequests(Generic[R]):
    """The requests that a leader has taken and not yet answered, with the log index (or slot) of each command."""

    placed: dict[int, R] = field(default_factory=dict)
    """The requests by the index of their command. A request not placed yet is only in `under_way`."""
    under_way: set[tuple[OperationId, int]] = field(default_factory=set)
    """Operation and sequence of every request taken and not answered."""

    def begin(self, operation: OperationId, sequence: int) -> None:
        """Takes a request that is not under way yet."""
        self.under_way.add((operation, sequence))

    def is_under_way(self, operation: OperationId, sequence: int) -> bool:
        return (operation, sequence) in self.under_way

    def place(self, index: int, request: R) -> None:
        """Records that the request's command is at `index`."""
        self.placed[index] = request

    def finish(self, index: int) -> R | None:
        """Removes and returns the request whose command is at `index`; None if there is none."""
        request = self.placed.pop(index, None)
        if request is not None:
            self.under_way.discard((request.operation, request.sequence))
        return request

    def clear(self) -> None:
        self.placed.clear()
        self.under_way.clear()

    def keep(self, placed: dict[int, R], taken: Iterable[tuple[OperationId, int]]) -> None:
        """Keeps only the requests `placed`, and `taken`: operation and sequence of requests not placed yet."""
        self.placed = placed
        self.under_way = {(each.operation, each.sequence) for each in placed.values()} | set(taken)
